"""Runs the statement of a request and responds with its rows.

Results in row formats (Native, JSONEachRow, TabSeparated, ...) are streamed: the engine makes the next chunk
when the client has taken the last one. Other formats are held whole, up to MAX_RESULT_BYTES.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from babyai_kit.local.clickhouse.connection import STREAMED, Connection, EngineError, quote_name
from babyai_kit.local.clickhouse.engine import Engine
from babyai_kit.local.clickhouse.insert_queues import InsertQueues
from babyai_kit.local.clickhouse.insert_rows import (
    MAX_SQL_BYTES,
    InsertRequest,
    read_pieces,
    read_statement,
    split_insert,
)
from babyai_kit.local.clickhouse.lanes import Lane
from babyai_kit.local.clickhouse.query_request import ExternalTable, QueryRequest
from babyai_kit.local.clickhouse.responses import ResponseWriter, Summary
from babyai_kit.local.clickhouse.statement_filter import Statement

MAX_RESULT_BYTES = 512 << 20
"""Largest result that is held whole."""

_READ_ONLY = (
    "Code: 164. DB::Exception: Cannot execute query in readonly mode. For queries over HTTP, method GET "
    "implies readonly. You should use method POST for modifying queries. (READONLY)"
)
_RESULT_TOO_LARGE = (
    f"Code: 396. DB::Exception: the result is larger than {MAX_RESULT_BYTES >> 20} MiB; use FORMAT Native or "
    "JSONEachRow, which are streamed. (TOO_MANY_ROWS_OR_BYTES)"
)


class QueryHandler:
    """Responds to queries with one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inserts = InsertQueues(engine.inserts)
        self._changes: set[asyncio.Task[web.StreamResponse]] = set()

    async def respond(self, request: web.Request, query: QueryRequest, started: float) -> web.StreamResponse:
        """Run `query`, which came with `request`, and close it.

        A query ends with its caller, who is cancelled when the client leaves. What changes something runs on,
        so that nothing is left half done. Raises RequestError, ForbiddenStatement or EngineError.
        """
        writer = ResponseWriter(
            request=request,
            query_id=query.query_id or str(uuid.uuid4()),
            accept_encoding=query.accept_encoding,
            timezone=self._engine.timezone,
            started=started,
        )
        with contextlib.ExitStack() as files:
            files.callback(query.close)
            insert = None if query.external else split_insert(query)
            if insert is not None and query.read_only:
                raise EngineError(_READ_ONLY)
            statement = await self._engine.inspect(
                read_statement(query) if insert is None else insert.statement_text()
            )
            if insert is not None:
                change = asyncio.create_task(self._insert(query, insert, statement, writer))
            elif statement.returns_rows:
                return await self._run(query, statement, self._engine.reads, writer)
            else:
                change = asyncio.create_task(self._run(query, statement, self._engine.writes, writer))
            self._changes.add(change)
            change.add_done_callback(self._changes.discard)
            change.add_done_callback(_close_with(files.pop_all()))
        return await asyncio.shield(change)

    async def _insert(
        self, query: QueryRequest, insert: InsertRequest, statement: Statement, writer: ResponseWriter
    ) -> web.StreamResponse:
        """INSERT with rows: in a group where the format allows it, else as a stream of its own."""
        if self._inserts.accepts(insert.format, insert.size):
            rows = insert.read_all(insert.size)
            written = await self._inserts.add(query.database, statement, insert.format, query.settings, rows)
        else:
            pieces = insert.pieces()
            if insert.format == "Values":
                # Such rows may hold expressions and parameters.
                rows = insert.read_all(MAX_SQL_BYTES)
                await asyncio.to_thread(self._engine.inspect_values, rows)
                pieces = iter([rows])
            async with self._engine.inserts.lease(query.database, query.settings) as connection:
                written = await connection.run(
                    connection.insert, statement, insert.format, pieces, query.params
                )
        return await writer.whole(b"", Summary(read=written, written=written, result=written), None)

    async def _run(
        self, query: QueryRequest, statement: Statement, lane: Lane, writer: ResponseWriter
    ) -> web.StreamResponse:
        output_format = statement.format or query.default_format
        if query.read_only:
            lane = self._engine.read_only
        async with lane.lease(query.database, query.settings) as connection:
            try:
                for table in query.external:
                    await self._load(table, connection)
                if statement.kind in ("SELECT", "WITH") and output_format in STREAMED:
                    return await self._stream(query, statement, output_format, connection, writer)
                result = await connection.run(connection.query, statement.text, output_format, query.params)
            finally:
                if statement.keeps_state or query.external:
                    await connection.run(connection.reset)
        if result.size() > MAX_RESULT_BYTES:
            raise EngineError(_RESULT_TOO_LARGE)
        written = result.rows_written()
        summary = Summary(
            read=result.storage_rows_read() or written,
            written=written,
            result=result.rows_read() if statement.returns_rows else written,
        )
        return await writer.whole(result.bytes(), summary, output_format if statement.returns_rows else None)

    async def _load(self, table: ExternalTable, connection: Connection) -> None:
        """Create and fill a table that came with the query."""
        name = quote_name(table.name)
        structure = f"CREATE TEMPORARY TABLE {name} ({table.structure}) ENGINE = Memory"
        create = await self._engine.inspect(structure.encode())
        insert = await self._engine.inspect(f"INSERT INTO {name} FORMAT {table.format}".encode())
        await connection.run(connection.query, create.text, "Null")
        await connection.run(connection.insert, insert, table.format, read_pieces(table.rows))

    async def _stream(
        self,
        query: QueryRequest,
        statement: Statement,
        output_format: str,
        connection: Connection,
        writer: ResponseWriter,
    ) -> web.StreamResponse:
        """Respond chunk by chunk. An error before the second chunk still gets its status."""
        stream, first, second = await connection.run(
            connection.open_stream, statement.text, output_format, query.params
        )
        try:
            if second is not None:
                return await writer.stream(_chunks(connection, stream, first, second), output_format)
            if first is None:
                return await writer.whole(b"", Summary(), output_format)
            return await writer.whole(first.bytes(), Summary(result=first.rows_read()), output_format)
        finally:
            await connection.run(stream.close)


def _close_with(files: contextlib.ExitStack) -> Callable[[asyncio.Task[Any]], None]:
    """A callback for the end of a task. Its error is seen there, even if nobody waits for it any more."""

    def close(task: asyncio.Task[Any]) -> None:
        files.close()
        if not task.cancelled():
            task.exception()

    return close


async def _chunks(connection: Connection, stream: Any, first: Any, second: Any) -> AsyncIterator[bytes]:
    """The chunks of a stream whose first two are there."""
    yield first.bytes()
    chunk = second
    while chunk is not None:
        yield chunk.bytes()
        chunk = await connection.run(stream.fetch)
