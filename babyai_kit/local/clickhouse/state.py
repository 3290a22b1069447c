"""What users and server of one data directory share on disk: locks, password, and who serves.

Knows file names, formats and lock rules; starts nothing and contacts nobody. The kernel's flock is
the only truth about who is alive: it is released however a process ends. The state file is a hint
that must be proved by asking the server for its instance id.

Lock order, everywhere: users, then start, then owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

EXIT_TAKEN = 3
"""Exit status of a server that found its data directory in the hands of another."""


@dataclass(frozen=True)
class Home:
    """The data directory and the names in it."""

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> Home:
        """`path` made absolute; nothing is created."""
        return cls(Path(path).expanduser().resolve())

    @property
    def state_file(self) -> Path:
        return self.path / "clickhouse.json"

    @property
    def password_file(self) -> Path:
        return self.path / "clickhouse.password"

    @property
    def log_file(self) -> Path:
        return self.path / "clickhouse.log"

    @property
    def users_lock(self) -> Path:
        return self.path / "clickhouse.users.lock"

    @property
    def start_lock(self) -> Path:
        return self.path / "clickhouse.start.lock"

    @property
    def owner_lock(self) -> Path:
        return self.path / "clickhouse.owner.lock"

    @property
    def migrate_lock(self) -> Path:
        return self.path / "clickhouse.migrate.lock"

    @property
    def migrated_file(self) -> Path:
        """There once a gateway has made all of its tables."""
        return self.path / "clickhouse.migrated"

    @property
    def engine_dir(self) -> Path:
        """Where the engine keeps its tables."""
        return self.path / "clickhouse"

    @property
    def config_dir(self) -> Path:
        """The engine's configuration, written anew at every start."""
        return self.path / "clickhouse.config"

    @property
    def spool_dir(self) -> Path:
        """Large request bodies on their way to the engine; emptied at every start."""
        return self.path / "clickhouse.spool"


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


def read_state(home: Home) -> ServerState | None:
    """The state on disk, or None if there is none or it cannot be understood."""
    try:
        return ServerState(**json.loads(home.state_file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_state(home: Home, state: ServerState) -> None:
    """Replace the state file atomically."""
    _write_private(home.state_file, json.dumps(asdict(state)) + "\n")


def read_password(home: Home) -> str:
    """The password of this data directory, made at first use (mode 0600).

    It outlives the server, so that URLs handed out before a crash are good after it.
    """
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            password = home.password_file.read_text().strip()
            if password:
                if home.password_file.stat().st_mode & 0o077:
                    home.password_file.chmod(0o600)
                return password
            home.password_file.unlink()
        # link() refuses to replace: of two processes at first use, one password wins for both.
        _write_private(home.password_file, secrets.token_hex(24) + "\n", replace=False)
    return home.password_file.read_text().strip()


def _write_private(target: Path, text: str, *, replace: bool = True) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=target.name + ".")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(name, target)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(name, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


class Lock:
    """An open lock file. Freed by `release()`, or by the kernel when the process ends.

    The descriptor is not inherited by spawned programs. A forked child would share the hold, so it
    lets go at once.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _open_locks.add(self)

    def try_shared(self) -> bool:
        """Take or downgrade to a shared hold, without waiting."""
        return self._flock(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take the only hold, without waiting."""
        return self._flock(fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Give up the hold and keep the file open."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def note(self, text: str) -> None:
        """Write `text` into the file, for whoever is refused."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Free the lock. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        _open_locks.discard(self)
        if descriptor is not None:
            os.close(descriptor)

    def _flock(self, mode: int) -> bool:
        if self._descriptor is None:
            return False
        try:
            fcntl.flock(self._descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_open_locks: set[Lock] = set()


def _drop_inherited_locks() -> None:
    for lock in list(_open_locks):
        lock.release()


os.register_at_fork(after_in_child=_drop_inherited_locks)


def wait_shared(lock: Lock, timeout_s: float) -> bool:
    """Take a shared hold within `timeout_s` seconds; the server holds the lock for moments only."""
    return _wait(lock.try_shared, timeout_s)


def wait_exclusive(lock: Lock, timeout_s: float) -> bool:
    """Take the only hold within `timeout_s` seconds."""
    return _wait(lock.try_exclusive, timeout_s)


def _wait(attempt: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not attempt():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
