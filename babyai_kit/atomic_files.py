"""Files that replace others whole: who reads meanwhile gets the old one or the new one, never a half."""

from __future__ import annotations

import os
from pathlib import Path

from babyai_kit.errors import InputError


def write_whole(path: str | Path, data: bytes) -> Path:
    """Write `data` to `path`, making its folder, and return the path.

    Raises InputError where that cannot be written; what was there stays.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); give it space and rights, or name another"
        ) from None
    return path
