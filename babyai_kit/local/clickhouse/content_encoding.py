"""The encodings of HTTP bodies that the local ClickHouse serves: lz4, zstd and gzip.

What clients send, logged from real ones:

- TensorZero's gateway 2026.6.0 neither compresses its requests nor accepts compressed responses.
- clickhouse-connect 1.12 sends the rows of `insert` and `insert_df` in lz4 and accepts
  `lz4,zstd,gzip,deflate` for those of `query` and `query_df`. With `compress="zstd"` or `"gzip"` it sends
  and accepts that one, with `compress=False` none. Arrow, raw inserts and commands are never compressed.
- curl (`--compressed`) and browsers accept gzip, among others.

lz4 and zstd are dependencies of clickhouse-connect.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any

import lz4.frame
from backports import zstd

_OPEN: dict[str, Callable[..., Any]] = {
    "lz4": lz4.frame.open,
    "zstd": zstd.open,
    "gzip": partial(gzip.open, compresslevel=3),
}
"""By encoding, what opens a compressed file. In the order of preference: the cheapest to compute first."""

_READ_ERRORS = (gzip.BadGzipFile, zlib.error, zstd.ZstdError, EOFError, RuntimeError)

_PIECE_BYTES = 1 << 18


class DecompressionError(Exception):
    """A body that is not what its Content-Encoding says."""


def is_supported(encoding: str) -> bool:
    """True for an encoding of this module, lower case."""
    return encoding in _OPEN


def preferred_encoding(accept_encoding: str) -> str | None:
    """The encoding to respond with, of those in an Accept-Encoding header; None for no compression."""
    accepted = set()
    for part in accept_encoding.lower().replace(" ", "").split(","):
        name, _, weight = part.partition(";")
        if weight.rstrip("0.") != "q=":  # q=0, q=0.0: not acceptable
            accepted.add(name)
    return next((encoding for encoding in _OPEN if encoding in accepted), None)


def decompress(body: IO[bytes], encoding: str) -> Iterator[bytes]:
    """The plain bytes of `body` in pieces of bounded size, however well it is compressed.

    Raises DecompressionError.
    """
    try:
        with _OPEN[encoding](body, "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except _READ_ERRORS as error:
        raise DecompressionError(str(error)) from None


class Compressor:
    """Compresses a body that is sent piece by piece."""

    def __init__(self, encoding: str) -> None:
        self._compressed = io.BytesIO()
        self._file = _OPEN[encoding](self._compressed, "wb")

    def compress(self, piece: bytes) -> bytes:
        """What can be sent once `piece` is in; may be empty."""
        self._file.write(piece)
        return self._take()

    def finish(self) -> bytes:
        """The rest of the body."""
        self._file.close()
        return self._take()

    def _take(self) -> bytes:
        data = self._compressed.getvalue()
        self._compressed.seek(0)
        self._compressed.truncate()
        return data
