"""From a request to rows: runs the statement and shapes the answer, with ClickHouse's headers.

Knows how statement, engine and HTTP answer go together; nothing of who asks. Results in row formats
(Native, JSONEachRow, TabSeparated, ...) are streamed: the engine makes the next chunk when the client
has taken the last one. Other formats are held whole, up to MAX_RESULT_BYTES.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from typing import Any

from aiohttp import web

from babyai_kit.local.clickhouse import codecs
from babyai_kit.local.clickhouse.engine import STREAMED, Connection, Engine, EngineError, quote_name
from babyai_kit.local.clickhouse.gate import Statement
from babyai_kit.local.clickhouse.insert_rows import (
    MAX_SQL_BYTES,
    InsertRequest,
    pieces_of,
    read_statement,
    split_insert,
)
from babyai_kit.local.clickhouse.inserts import Inserts
from babyai_kit.local.clickhouse.request import ExternalTable, Request

MAX_RESULT_BYTES = 512 << 20
"""Largest result that is held whole."""

SEND_TIMEOUT_S = 60
"""A client that takes nothing for so long loses its stream and frees its connection to the engine."""

COMPRESS_FROM_BYTES = 1024

_READ_ONLY = (
    "Code: 164. DB::Exception: Cannot execute query in readonly mode. For queries over HTTP, method GET "
    "implies readonly. You should use method POST for modifying queries. (READONLY)"
)

_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
}


class Answers:
    """Answers requests with one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inserts = Inserts(engine)

    async def answer(self, request: web.Request, asked: Request, started: float) -> web.StreamResponse:
        """Run what `asked` says. Raises Refused, Forbidden or EngineError."""
        asked.query_id = asked.query_id or str(uuid.uuid4())
        insert = None if asked.external else split_insert(asked)
        if insert is not None:
            return await self._insert(asked, insert, started)
        sql = read_statement(asked)
        return await self._run(request, asked, await self._engine.inspect(sql), started)

    async def _insert(self, asked: Request, insert: InsertRequest, started: float) -> web.Response:
        """INSERT with rows: in a group where the format allows it, else as a stream of its own."""
        if asked.read_only:
            raise EngineError(_READ_ONLY)
        statement = await self._engine.inspect(insert.sql + b" FORMAT " + insert.format.encode())
        if self._inserts.fits(insert.format, insert.size):
            rows = insert.read_all(insert.size)
            written = await self._inserts.add(asked.database, statement, insert.format, asked.settings, rows)
        else:
            pieces = insert.pieces()
            if insert.format == "Values":
                # Such rows may hold expressions and parameters.
                rows = insert.read_all(MAX_SQL_BYTES)
                await asyncio.to_thread(self._engine.inspect_values, rows)
                pieces = iter([rows])
            async with self._engine.lease(asked.database, asked.settings) as connection:
                written = await connection.run(
                    connection.insert, statement, insert.format, pieces, asked.params
                )
        headers = self._headers(asked, started, written_rows=written, read_rows=written)
        return web.Response(headers=headers, body=b"")

    async def _run(
        self, request: web.Request, asked: Request, statement: Statement, started: float
    ) -> web.StreamResponse:
        output = statement.format or asked.default_format
        tables = [await self._external(table) for table in asked.external]
        async with self._engine.lease(
            asked.database, asked.settings, read_only=asked.read_only
        ) as connection:
            try:
                for create, insert, table in tables:
                    await connection.run(connection.query, create.text, "Null")
                    await connection.run(connection.insert, insert, table.format, pieces_of(table.rows))
                if statement.kind in ("SELECT", "WITH") and output in STREAMED:
                    return await self._stream(request, asked, connection, statement, output, started)
                result = await connection.run(connection.query, statement.text, output, asked.params)
            finally:
                if statement.keeps_state or asked.external:
                    await connection.run(connection.reset)
        if result.size() > MAX_RESULT_BYTES:
            raise EngineError(
                f"Code: 396. DB::Exception: the result is larger than {MAX_RESULT_BYTES >> 20} MiB; use "
                "FORMAT Native or JSONEachRow, which are streamed. (TOO_MANY_ROWS_OR_BYTES)"
            )
        headers = self._headers(
            asked,
            started,
            output=output if statement.returns_rows else None,
            written_rows=result.rows_written(),
            read_rows=result.storage_rows_read() or result.rows_written(),
            result_rows=result.rows_read() if statement.returns_rows else result.rows_written(),
        )
        return await _whole(asked, headers, result.bytes())

    async def _external(self, table: ExternalTable) -> tuple[Statement, Statement, ExternalTable]:
        """How to make and fill a table that came with the query."""
        name = quote_name(table.name)
        create = f"CREATE TEMPORARY TABLE {name} ({table.structure}) ENGINE = Memory"
        insert = f"INSERT INTO {name} FORMAT {table.format}"
        return (
            await self._engine.inspect(create.encode()),
            await self._engine.inspect(insert.encode()),
            table,
        )

    async def _stream(
        self,
        request: web.Request,
        asked: Request,
        connection: Connection,
        statement: Statement,
        output: str,
        started: float,
    ) -> web.StreamResponse:
        """Answer chunk by chunk. An error before the second chunk still gets its status."""
        stream, first, second = await connection.run(
            connection.open_stream, statement.text, output, asked.params
        )
        try:
            rows = first.rows_read() if first is not None and second is None else 0
            headers = self._headers(asked, started, output=output, result_rows=rows)
            if second is None:
                return await _whole(asked, headers, b"" if first is None else first.bytes())
            return await _pump(request, asked, connection, stream, [first, second], headers)
        finally:
            await connection.run(stream.close)

    def _headers(
        self, asked: Request, started: float, *, output: str | None = None, **counts: int
    ) -> dict[str, str]:
        names = ("read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read")
        summary = {name: str(counts.get(name, 0)) for name in names}
        summary["result_rows"] = str(counts.get("result_rows", counts.get("written_rows", 0)))
        summary["result_bytes"] = "0"
        summary["elapsed_ns"] = str(int((time.perf_counter() - started) * 1e9))
        headers = {
            "X-ClickHouse-Summary": json.dumps(summary),
            "X-ClickHouse-Query-Id": asked.query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": "babyai-kit",
            "Content-Type": "text/plain; charset=UTF-8",
        }
        if output is not None:
            headers["X-ClickHouse-Format"] = output
            headers["Content-Type"] = _CONTENT_TYPES.get(output, "text/plain; charset=UTF-8")
        return headers


async def _whole(asked: Request, headers: dict[str, str], body: bytes) -> web.Response:
    encoding = codecs.choose(asked.accept_encoding) if len(body) >= COMPRESS_FROM_BYTES else None
    if encoding is not None:
        headers["Content-Encoding"] = encoding
        body = await asyncio.to_thread(_compress, encoding, body)
    return web.Response(headers=headers, body=body)


def _compress(encoding: str, body: bytes) -> bytes:
    encode = codecs.encoder(encoding)
    return bytes(encode.compress(body)) + bytes(encode.flush())


async def _pump(
    request: web.Request,
    asked: Request,
    connection: Connection,
    stream: Any,
    ready: list[Any],
    headers: dict[str, str],
) -> web.StreamResponse:
    """Send the chunks in `ready` and those that follow."""
    encoding = codecs.choose(asked.accept_encoding)
    encode = codecs.encoder(encoding) if encoding else None
    if encoding:
        headers["Content-Encoding"] = encoding
    tag = secrets.token_hex(8)
    headers["X-ClickHouse-Exception-Tag"] = tag
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    try:
        while ready:
            piece = ready.pop(0).bytes()
            if encode is not None:
                piece = await asyncio.to_thread(encode.compress, piece)
            await asyncio.wait_for(response.write(piece), SEND_TIMEOUT_S)
            if not ready and (chunk := await connection.run(stream.fetch)) is not None:
                ready.append(chunk)
        if encode is not None:
            await response.write(encode.flush())
        await response.write_eof()
    except EngineError as error:
        # The status is out already. ClickHouse's way: the error, between marks, ends the rows, and the
        # connection is cut before the body's proper end, so that no client takes them for all.
        text = str(error)
        length = len(text.encode()) + 1
        note = f"\r\n__exception__\r\n{tag}\r\n{text}\n{length} {tag}\r\n__exception__\r\n".encode()
        await response.write(note if encode is None else encode.compress(note) + encode.flush())
        if request.transport is not None:
            request.transport.close()
    except asyncio.TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response
