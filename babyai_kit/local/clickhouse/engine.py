"""chDB as lanes of connections behind the statement filter.

chDB's rules: one process per data path, connections to it run in parallel, settings stick to a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from functools import partial
from pathlib import Path

from babyai_kit.local.clickhouse.connection import Connection, EngineError, quote, quote_name
from babyai_kit.local.clickhouse.engine_config import MAX_QUERY_S
from babyai_kit.local.clickhouse.lanes import Lane, MemoryBudget
from babyai_kit.local.clickhouse.statement_filter import Statement, StatementFilter

_MAX_WAIT_S = 30.0
"""How long a query waits for others to end."""


class Engine:
    """The engine of one data path. Not to be shared between event loops."""

    def __init__(self, path: Path, config_file: Path, spool_dir: Path, *, memory_bytes: int) -> None:
        """`path`: the engine's directory, of which this process must be the only owner, and which must be
        its working directory. `spool_dir`: for rows on their way in. `memory_bytes`: the machine's memory."""
        # Relative: a name of the user's may hold what means something in chDB's connection string.
        target = f".?config-file={os.path.relpath(config_file, path)}"

        def connections(number: int, *, read_only: bool = False) -> list[Connection]:
            return [Connection(target, spool_dir, read_only, kill=self._kill) for _ in range(number)]

        memory = MemoryBudget(memory_bytes * 3 // 4)
        bounded = partial(
            Lane, settings={"max_execution_time": str(MAX_QUERY_S)}, memory=memory, max_wait_s=_MAX_WAIT_S
        )
        self.inserts = Lane(connections(8))
        """Inserts that bring their rows."""
        self.writes = Lane(connections(4), memory=memory)
        """Other statements that change something: tables, mutations, INSERT ... SELECT."""
        self.reads = bounded(connections(12))
        """Statements that return rows."""
        self.read_only = bounded(connections(4, read_only=True))
        """Whatever comes by GET."""
        self._keeper = Connection(target, spool_dir, read_only=False)
        self._killer = Connection(target, spool_dir, read_only=False)
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
        except (RuntimeError, UnicodeDecodeError) as error:
            # Without the query around it, which the client did not send.
            text = str(error) if isinstance(error, RuntimeError) else error.object.decode("utf-8", "replace")
            reason, scope, _ = text.partition(": In scope SELECT formatQuerySingleLine")
            if scope:
                text = reason + "." + (text[text.rfind(" (") :] if text.endswith(")") else "")
            raise EngineError(text) from None
        return bytes(result.bytes())

    async def _kill(self, thread_id: int) -> None:
        """Ask the engine to end what the thread's connection is running; it may not have begun yet."""
        # By thread: chDB gives no query id, and any setting could be changed by the statement itself.
        sql = f"KILL QUERY WHERE has(thread_ids, {thread_id}) ASYNC"
        with contextlib.suppress(EngineError):
            await self._killer.run(self._killer.query, sql, "Null")

    async def close(self) -> None:
        """Close every connection after the work at hand; the engine then writes what is left and ends."""
        for lane in (self.inserts, self.writes, self.reads, self.read_only):
            await lane.close()
        for connection in (self._keeper, self._killer):
            await asyncio.to_thread(connection.close)
