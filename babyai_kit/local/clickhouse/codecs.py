"""Compression of HTTP bodies, piece by piece: gzip, deflate, lz4, zstd and, where installed, br.

Knows the libraries; nothing of requests. lz4 and zstd come with clickhouse-connect; what cannot be
imported is left out.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol

try:
    import lz4.frame as lz4_frame
except ImportError:
    lz4_frame = None  # type: ignore[assignment]
try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:
    zstd = None  # type: ignore[assignment]
try:
    import brotli
except ImportError:
    brotli = None

PREFERRED = ("lz4", "zstd", "br", "gzip", "deflate")
"""What the server picks first when a client accepts several: the cheapest for the processor."""

PIECE_BYTES = 1 << 20
"""Longest piece a decoder hands out, so that a small body cannot become a huge one in memory."""


class BadBody(Exception):
    """A body that is not what its Content-Encoding says."""


class Decoder(Protocol):
    """Turns compressed pieces into plain ones."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The plain pieces that `piece` completes. Raises BadBody."""

    def finish(self) -> None:
        """Raises BadBody if the stream is not complete."""


class Plain:
    """No compression."""

    def feed(self, piece: bytes) -> list[bytes]:
        return [piece]

    def finish(self) -> None:
        """Nothing can be missing."""


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inner = zlib.decompressobj(wbits)

    def feed(self, piece: bytes) -> list[bytes]:
        out = []
        try:
            while piece:
                if self._inner.eof:  # another member of a multi-member file
                    self._inner = zlib.decompressobj(self._wbits)
                plain = self._inner.decompress(piece, PIECE_BYTES)
                piece = self._inner.unconsumed_tail or self._inner.unused_data
                out.append(plain)
        except zlib.error as error:
            raise BadBody(str(error)) from None
        return out

    def finish(self) -> None:
        if not self._inner.eof:
            raise BadBody("the compressed body ends early")


class _Framed:
    """lz4 and zstd: a body may be several frames."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._inner = make()
        self._started = False

    def feed(self, piece: bytes) -> list[bytes]:
        out = []
        try:
            while piece or not (self._inner.needs_input or self._inner.eof):
                if self._inner.eof:
                    self._inner = self._make()
                self._started = True
                out.append(self._inner.decompress(piece, PIECE_BYTES))
                piece = self._inner.unused_data or b"" if self._inner.eof else b""
        except Exception as error:  # the libraries have each their own type
            raise BadBody(f"{type(error).__name__}: {error}") from None
        return out

    def finish(self) -> None:
        if self._started and not self._inner.eof:
            raise BadBody("the compressed body ends early")


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def feed(self, piece: bytes) -> list[bytes]:
        try:
            return [self._inner.process(piece)]
        except brotli.error as error:
            raise BadBody(str(error)) from None

    def finish(self) -> None:
        if not self._inner.is_finished():
            raise BadBody("the compressed body ends early")


class _ZstdEncoder:
    def __init__(self) -> None:
        self._inner = zstd.ZstdCompressor()

    def compress(self, piece: bytes) -> bytes:
        return self._inner.compress(piece)

    def flush(self) -> bytes:
        return self._inner.flush()


class _Lz4Encoder:
    def __init__(self) -> None:
        self._inner = lz4_frame.LZ4FrameCompressor()
        self._head = self._inner.begin()

    def compress(self, piece: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + self._inner.compress(piece)

    def flush(self) -> bytes:
        head, self._head = self._head, b""
        return head + self._inner.flush()


class _BrotliEncoder:
    def __init__(self) -> None:
        self._inner = brotli.Compressor(quality=4)

    def compress(self, piece: bytes) -> bytes:
        return self._inner.process(bytes(piece))

    def flush(self) -> bytes:
        return self._inner.finish()


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "": Plain,
    "identity": Plain,
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
}
_ENCODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.compressobj(3, wbits=31),
    "deflate": lambda: zlib.compressobj(3, wbits=15),
}
if lz4_frame is not None:
    _DECODERS["lz4"] = lambda: _Framed(lz4_frame.LZ4FrameDecompressor)
    _ENCODERS["lz4"] = _Lz4Encoder
if zstd is not None:
    _DECODERS["zstd"] = lambda: _Framed(zstd.ZstdDecompressor)
    _ENCODERS["zstd"] = _ZstdEncoder
if brotli is not None:
    _DECODERS["br"] = _Brotli
    _ENCODERS["br"] = _BrotliEncoder


def decoder(encoding: str) -> Decoder | None:
    """A decoder for a Content-Encoding; None if it is not known here."""
    make = _DECODERS.get(encoding.strip().lower())
    return make() if make else None


def choose(accept_encoding: str) -> str | None:
    """The encoding to answer with, of those in an Accept-Encoding header; None for plain."""
    accepted = set()
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            accepted.add(name.strip())
    return next((name for name in PREFERRED if name in accepted and name in _ENCODERS), None)


def encoder(encoding: str) -> Any:
    """An object with `compress(piece)` and `flush()` for an encoding that `choose` named."""
    return _ENCODERS[encoding]()
