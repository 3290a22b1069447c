"""Temporary files for the body of a request, so that none can fill the memory.

Bodies are counted after decompression, and kept on disk beyond a megabyte.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import IO

from babyai_kit.local.clickhouse.content_encoding import DecompressionError, decompress
from babyai_kit.local.clickhouse.http_errors import RequestError

MAX_BODY_BYTES = 256 << 20
"""Largest body after decompression; a larger one is refused with 413."""

MEMORY_BYTES = 1 << 20
"""How much of a body is kept in memory; the rest is in a file."""


class Spool:
    """The temporary files of one request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = contextlib.ExitStack()
        self.bytes_left = MAX_BODY_BYTES

    def file(self) -> IO[bytes]:
        """A new, empty file."""
        return self._files.enter_context(tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(self._folder)))

    def write(self, file: IO[bytes], piece: bytes) -> None:
        """Append `piece` to `file`. Raises RequestError beyond MAX_BODY_BYTES in all."""
        self.bytes_left -= len(piece)
        if self.bytes_left < 0:
            raise too_large_error()
        file.write(piece)

    def decompress(self, body: IO[bytes], encoding: str, file: IO[bytes]) -> None:
        """Append the plain `body` to `file`. Blocks. Raises RequestError."""
        body.seek(0)
        self.bytes_left = MAX_BODY_BYTES
        try:
            for piece in decompress(body, encoding):
                self.write(file, piece)
        except DecompressionError as error:
            reason = f"cannot decompress the body: {error}"
            raise RequestError(400, 354, "CANNOT_DECOMPRESS", reason) from None
        body.close()

    def close(self) -> None:
        """Delete the files."""
        self._files.close()


def too_large_error() -> RequestError:
    limit = f"{MAX_BODY_BYTES >> 20} MiB"
    reason = f"the body is larger than {limit} after decompression; send the rows in parts"
    return RequestError(413, 307, "TOO_MANY_BYTES", reason)
