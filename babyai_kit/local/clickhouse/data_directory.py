"""The data directory that users and server share: its file names, its password, and who serves it.

The state file is a hint: it must be proved by asking the server for its instance id.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from babyai_kit.atomic_files import write_json_atomically
from babyai_kit.configuration.project import StrPath

EXIT_TAKEN = 3
"""Exit status of a server whose data directory another process serves."""


class DataDirectory:
    """The data directory and the names in it. Creating one creates nothing on disk."""

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path).expanduser().resolve()
        self.state_file = self.path / "clickhouse.json"
        self.password_file = self.path / "clickhouse.password"
        self.log_file = self.path / "clickhouse.log"
        self.users_lock = self.path / "clickhouse.users.lock"
        """Held shared by every user; the server takes it for moments to see whether there are any."""
        self.start_lock = self.path / "clickhouse.start.lock"
        """Held by the process that starts a server."""
        self.owner_lock = self.path / "clickhouse.owner.lock"
        """Held by the server; contains its pid."""
        self.migrate_lock = self.path / "clickhouse.migrate.lock"
        """Held while a gateway makes its tables."""
        self.migrated_file = self.path / "clickhouse.migrated"
        """Exists once a gateway has made all of its tables."""
        self.engine_dir = self.path / "clickhouse"
        """Where the engine keeps its tables."""
        self.config_dir = self.path / "clickhouse.config"
        """The engine's configuration, written anew at every start."""
        self.spool_dir = self.path / "clickhouse.spool"
        """Large request bodies on their way to the engine; emptied at every start."""

    def server_pid(self) -> int | None:
        """Process id of the last server, which may have ended; None if there is none."""
        try:
            return int(self.owner_lock.read_text())
        except (OSError, ValueError):
            return None


@dataclass(frozen=True)
class ServerState:
    """Who serves a data directory, as the server wrote it. Holds no secret."""

    pid: int
    port: int
    instance: str
    """Random id of this server process, to tell it from whatever else answers on the port."""
    version: str
    by_hand: bool
    """True if a person started it: then it does not stop when its last user ends."""


def kit_version() -> str:
    """Version of the installed kit; empty when it is not installed."""
    try:
        return metadata.version("babyai-kit")
    except metadata.PackageNotFoundError:
        return ""


def read_state(directory: DataDirectory) -> ServerState | None:
    """The state on disk, or None if there is none or it cannot be read."""
    try:
        return ServerState(**json.loads(directory.state_file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_state(directory: DataDirectory, state: ServerState) -> None:
    """Replace the state file atomically."""
    write_json_atomically(directory.state_file, asdict(state))


def read_password(directory: DataDirectory) -> str:
    """The password of this data directory, made at first use (mode 0600).

    It outlives the server, so that URLs handed out before a crash are good after it.
    """
    file = directory.password_file
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            password = file.read_text().strip()
            if password:
                if file.stat().st_mode & 0o077:
                    file.chmod(0o600)
                return password
            file.unlink()
        _create_private(file, secrets.token_hex(24) + "\n")
    return file.read_text().strip()


def _create_private(target: Path, text: str) -> None:
    """Create `target` whole, unless it exists: of two processes at first use, one password wins for both."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=target.name + ".")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, target)
    finally:
        os.unlink(name)
