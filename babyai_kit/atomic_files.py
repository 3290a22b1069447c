"""Files that must be whole or absent: a reader gets the old one or the new one, never a part of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from babyai_kit.errors import FileWriteError


def write_atomically(path: str | Path, data: bytes | str, *, mode: int | None = None) -> Path:
    """Write `data` (text as UTF-8) to `path`, creating its folder, and return the path.

    The data are on disk before the file takes its name. `mode`: its permissions; None: by the umask. Raises
    FileWriteError if the data cannot be written; the file that was there stays.
    """
    path = Path(path)
    content = data.encode("utf-8", errors="backslashreplace") if isinstance(data, str) else data
    with atomic_part(path) as part, part.open("wb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(content)
    return path


@contextmanager
def atomic_part(path: Path) -> Iterator[Path]:
    """A path to write to in the block; the file becomes `path` when the block ends without an error.

    Promises what `write_atomically` does, for those who write by a library. Raises FileWriteError for any
    OSError of the block, too.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FileWriteError(
            f"cannot write {path} ({error.strerror or error}); free some space, check its permissions, or "
            "choose another place"
        ) from None


def write_json_atomically(path: str | Path, value: Any) -> Path:
    """`write_atomically` of `value` as indented JSON."""
    return write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
