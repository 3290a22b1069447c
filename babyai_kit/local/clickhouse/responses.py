"""HTTP responses to queries: ClickHouse's headers, and results sent whole or as a stream of chunks."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from babyai_kit.local.clickhouse.connection import EngineError
from babyai_kit.local.clickhouse.content_encoding import Compressor, preferred_encoding

SEND_TIMEOUT_S = 60.0
"""A client that takes nothing for so long loses its stream and frees its connection to the engine."""

MIN_COMPRESSED_BYTES = 1024
"""Smaller results are sent as they are."""

_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    **dict.fromkeys(("Native", "RowBinary", "Arrow", "ArrowStream", "Parquet"), "application/octet-stream"),
}
"""By output format; any other is text/plain."""


@dataclass(frozen=True)
class Summary:
    """The counts of `X-ClickHouse-Summary`, in rows."""

    read: int = 0
    written: int = 0
    result: int = 0

    def to_json(self, seconds: float) -> str:
        """As ClickHouse writes it; sizes in bytes are not counted."""
        counts = {
            "read_rows": self.read,
            "read_bytes": 0,
            "written_rows": self.written,
            "written_bytes": 0,
            "total_rows_to_read": 0,
            "result_rows": self.result,
            "result_bytes": 0,
            "elapsed_ns": int(seconds * 1e9),
        }
        return json.dumps({name: str(count) for name, count in counts.items()})


@dataclass
class ResponseWriter:
    """What the responses to one query have in common."""

    request: web.Request
    query_id: str
    accept_encoding: str
    timezone: str
    started: float
    """By `time.perf_counter()`."""

    async def whole(self, body: bytes, summary: Summary, output_format: str | None) -> web.Response:
        """A result in one piece. `output_format`: None for a statement that returns no rows."""
        headers = self._headers(summary, output_format)
        encoding = preferred_encoding(self.accept_encoding)
        if encoding is not None and len(body) >= MIN_COMPRESSED_BYTES:
            headers["Content-Encoding"] = encoding
            body = await asyncio.to_thread(_compressed, body, encoding)
        return web.Response(headers=headers, body=body)

    async def stream(self, chunks: AsyncIterator[bytes], output_format: str) -> web.StreamResponse:
        """Send `chunks` as they come."""
        headers = self._headers(Summary(), output_format)
        encoding = preferred_encoding(self.accept_encoding)
        compressor = None
        if encoding is not None:
            headers["Content-Encoding"] = encoding
            compressor = Compressor(encoding)
        tag = secrets.token_hex(8)
        headers["X-ClickHouse-Exception-Tag"] = tag
        response = web.StreamResponse(headers=headers)
        await response.prepare(self.request)
        transport = self.request.transport
        try:
            async for chunk in chunks:
                if compressor is not None:
                    chunk = await asyncio.to_thread(compressor.compress, chunk)
                await asyncio.wait_for(response.write(chunk), SEND_TIMEOUT_S)
            if compressor is not None:
                await response.write(compressor.finish())
            await response.write_eof()
        except EngineError as error:
            # The status is out already. ClickHouse's way: the error, between marks, ends the rows, and the
            # connection is cut before the body's proper end, so that no client takes them for all.
            text = str(error)
            length = len(text.encode()) + 1
            note = f"\r\n__exception__\r\n{tag}\r\n{text}\n{length} {tag}\r\n__exception__\r\n".encode()
            if compressor is not None:
                note = compressor.compress(note) + compressor.finish()
            await response.write(note)
            if transport is not None:
                transport.close()
        except asyncio.TimeoutError:
            if transport is not None:
                transport.abort()
        return response

    def _headers(self, summary: Summary, output_format: str | None) -> dict[str, str]:
        headers = {
            "X-ClickHouse-Summary": summary.to_json(time.perf_counter() - self.started),
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Timezone": self.timezone,
            "X-ClickHouse-Server-Display-Name": "babyai-kit",
            "Content-Type": "text/plain; charset=UTF-8",
        }
        if output_format is not None:
            headers["X-ClickHouse-Format"] = output_format
            headers["Content-Type"] = _CONTENT_TYPES.get(output_format, headers["Content-Type"])
        return headers


def _compressed(body: bytes, encoding: str) -> bytes:
    compressor = Compressor(encoding)
    return compressor.compress(body) + compressor.finish()
