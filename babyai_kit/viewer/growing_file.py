"""A file of lines that another process may be writing: what came to it since it was last read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20
"""Bytes read at once; more only where a single line is longer."""


class GrowingFile:
    """Reads a file of lines from where it was read before. A last line that is not whole yet is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """Bytes of whole lines that were read."""
        self._inode = 0

    def size(self) -> int:
        """Bytes of the file; 0 if there is none. Raises OSError."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def begins_anew(self) -> bool:
        """True if the file is not the one whose lines were read: those no longer count, and reading starts at
        its beginning. Raises OSError."""
        try:
            state = self.path.stat()
        except FileNotFoundError:
            is_new = self.offset > 0
        else:
            is_new = self._inode not in (0, state.st_ino) or not self._ends_as_read()
            self._inode = state.st_ino
        if is_new:
            self.offset = 0
        return is_new

    def _ends_as_read(self) -> bool:
        """Whether a line still ends where reading stopped."""
        if not self.offset:
            return True
        with self.path.open("rb") as stream:
            stream.seek(self.offset - 1)
            return stream.read(1) == b"\n"

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """(where it begins, whole lines) of what is new; read as soon as it was yielded. Raises OSError."""
        try:
            stream = self.path.open("rb")
        except FileNotFoundError:
            return
        with stream:
            stream.seek(self.offset)
            while data := _whole_lines(stream):
                begin, self.offset = self.offset, self.offset + len(data)
                yield begin, data


def _whole_lines(stream: BinaryIO) -> bytes:
    """The next lines, about CHUNK bytes; empty where no whole line is left."""
    data = stream.read(CHUNK)
    parts = [data]
    while (end := data.rfind(b"\n")) < 0:
        data = stream.read(CHUNK)
        if not data:
            return b""
        parts.append(data)
    stream.seek(end + 1 - len(data), os.SEEK_CUR)
    parts[-1] = data[: end + 1]
    return b"".join(parts) if len(parts) > 1 else parts[0]
