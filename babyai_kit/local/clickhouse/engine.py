"""chDB as a pool of connections, each used by one caller at a time, behind the statement filter.

chDB's rules: one process per data path, connections to it run in parallel, settings stick to a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from babyai_kit.local.clickhouse.connection import Connection, EngineError, quote, quote_name
from babyai_kit.local.clickhouse.statement_filter import Statement, StatementFilter


class Engine:
    """The engine of one data path. Not to be shared between event loops."""

    def __init__(
        self,
        path: Path,
        config_file: Path,
        spool_dir: Path,
        *,
        connections: int = 8,
        read_only_connections: int = 4,
    ) -> None:
        """`path`: the engine's directory, of which this process must be the only owner, and which must be
        its working directory. `spool_dir`: for rows on their way in."""
        # Relative: a name of the user's may hold what means something in chDB's connection string.
        target = f".?config-file={os.path.relpath(config_file, path)}"
        self._free = {
            False: [Connection(target, spool_dir, read_only=False) for _ in range(connections)],
            True: [Connection(target, spool_dir, read_only=True) for _ in range(read_only_connections)],
        }
        self._all = [*self._free[False], *self._free[True]]
        self._places = {False: asyncio.Semaphore(connections), True: asyncio.Semaphore(read_only_connections)}
        self._keeper = Connection(target, spool_dir, read_only=False)
        self._inspected: OrderedDict[bytes, Statement] = OrderedDict()
        self.timezone = "UTC"
        self._filter = StatementFilter(set(), set())

    async def start(self, database: str) -> None:
        """Open the data path and create `database`. Raises EngineError."""
        run = self._keeper.run

        def names(table: str) -> set[str]:
            rows = self._keeper.query(f"SELECT name FROM system.{table}", "TSV").bytes()
            return set(rows.decode().split())

        self._filter = StatementFilter(await run(names, "table_functions"), await run(names, "functions"))
        await run(self._keeper.query, f"CREATE DATABASE IF NOT EXISTS {quote_name(database)}", "Null")
        self.timezone = (await run(self._keeper.query, "SELECT timezone()", "TSV")).bytes().decode().strip()

    @contextlib.asynccontextmanager
    async def lease(
        self, database: str, settings: Mapping[str, str], *, read_only: bool = False
    ) -> AsyncIterator[Connection]:
        """A connection with `database` and `settings`, for one caller at a time. Raises EngineError."""
        async with self._places[read_only]:
            free = self._free[read_only]
            match = next((c for c in free if c.database == database and c.settings == settings), None)
            connection = match or free[-1]
            free.remove(connection)
            try:
                await _finish(connection.run(connection.prepare, database, settings))
                yield connection
            except BaseException:
                # A half-applied setting or an open stream must not meet the next caller.
                await _finish(connection.run(connection.reset))
                raise
            finally:
                free.append(connection)

    async def inspect(self, sql: bytes) -> Statement:
        """What `sql` is, if it may run. Raises ForbiddenStatement, or EngineError if it cannot be parsed."""
        statement = self._inspected.get(sql)
        if statement is not None:
            self._inspected.move_to_end(sql)
            return statement
        statement = self._filter.inspect(await self._keeper.run(self._canonical, sql))
        if len(sql) <= 65536:
            self._inspected[sql] = statement
            if len(self._inspected) > 512:
                self._inspected.popitem(last=False)
        return statement

    def inspect_values(self, rows: bytes) -> None:
        """Judge rows of FORMAT Values. Raises ForbiddenStatement."""
        self._filter.inspect_values(rows)

    def _canonical(self, sql: bytes) -> bytes:
        try:
            result = self._keeper.query(b"SELECT formatQuerySingleLine(%s)" % quote(sql), "RawBLOB")
        except RuntimeError as error:
            # Without the query around it, which the client did not send.
            text = str(error)
            reason, scope, _ = text.partition(": In scope SELECT formatQuerySingleLine")
            if scope:
                text = reason + "." + (text[text.rfind(" (") :] if text.endswith(")") else "")
            raise EngineError(text) from None
        return bytes(result.bytes())

    async def close(self) -> None:
        """Close every connection after the work at hand; the engine then writes what is left and ends."""
        for connection in [*self._all, self._keeper]:
            await asyncio.to_thread(connection.close)


async def _finish(work: Any) -> None:
    """Wait for `work` even if the caller is cancelled: a thread cannot be stopped half-way."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
