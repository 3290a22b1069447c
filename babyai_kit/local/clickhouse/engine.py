"""chDB as a set of connections, each used by one thread at a time.

chDB's rules: one process per data path, connections to it run in parallel, settings stick to a connection. To
be imported in the server process only: chDB replaces the process's memory allocator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import chdb

from babyai_kit.local.clickhouse.sql import split_settings
from babyai_kit.local.clickhouse.statement_filter import Statement, StatementFilter

T = TypeVar("T")

STREAMED = {"Native", "JSONEachRow", "JSONCompactEachRow", "RowBinary", "TabSeparated", "TSV", "CSV"}
"""Formats whose chunks, one after the other, are the whole result (others repeat a header per chunk)."""

_CODE = re.compile(r"Code: (\d+)\. ")
_SOURCE = re.compile(r"\n?: \(in file/uri /dev/fd/\d+\)")
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EngineError(Exception):
    """An error of the engine, or one in its form: `Code: N. DB::Exception: ... (NAME)`."""

    def __init__(self, text: str) -> None:
        start = text.find("Code: ")
        if start < 0:
            text = f"Code: 1002. DB::Exception: {text} (UNKNOWN_EXCEPTION)"
        super().__init__(text[max(start, 0) :])

    @property
    def code(self) -> int:
        """ClickHouse's number of the error."""
        match = _CODE.match(str(self))
        return int(match.group(1)) if match else 1002


def quote(text: bytes) -> bytes:
    """A string literal."""
    return b"'" + text.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def quote_name(text: str) -> str:
    """An identifier."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


class Connection:
    """One connection to the engine with the database and settings it has at the moment.

    Methods block; call them in `run`.
    """

    def __init__(self, target: str, spool_dir: Path, *, read_only: bool) -> None:
        self._target = target
        self._spool_dir = spool_dir
        self._read_only = read_only
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chdb")
        self._chdb: Any = None
        self.database = ""
        self.settings: dict[str, str] = {}

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Call `work` in this connection's thread. Raises EngineError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guard, work, *args)

    def _guard(self, work: Callable[..., T], *args: Any) -> T:
        if self._chdb is None:
            self._open()
        try:
            return work(*args)
        except RuntimeError as error:
            raise EngineError(str(error)) from None

    def _open(self) -> None:
        self._chdb = chdb.connect(self._target)
        self.database = "default"
        self.settings = {}
        if self._read_only:
            # As for GET in ClickHouse: settings may change, data may not, and there is no way back.
            self._chdb.query("SET readonly = 2", "Null")

    def reset(self) -> None:
        """Forget everything the session holds: settings, database, temporary tables."""
        if self._chdb is not None:
            self._chdb.close()
            self._chdb = None

    def close(self) -> None:
        """Close the connection after the work at hand. Blocks until then."""
        self._thread.submit(self.reset).result()
        self._thread.shutdown()

    def prepare(self, database: str, settings: Mapping[str, str]) -> None:
        """Make `database` and `settings` this connection's, by the differences only."""
        for name in self.settings.keys() - settings.keys():
            self._chdb.query(f"SET {name} = DEFAULT", "Null")
            del self.settings[name]
        for name, value in settings.items():
            if self.settings.get(name) != value:
                if not _SETTING_NAME.fullmatch(name):
                    raise EngineError(
                        f"Code: 115. DB::Exception: {name!r} is not a setting's name. (UNKNOWN_SETTING)"
                    )
                self._chdb.query(b"SET %s = %s" % (name.encode(), quote(value.encode())), "Null")
                self.settings[name] = value
        if database != self.database:
            self._chdb.query(f"USE {quote_name(database)}", "Null")
            self.database = database

    def query(self, sql: bytes | str, output: str, params: Mapping[str, str] | None = None) -> Any:
        """Run a statement and return chDB's whole result."""
        return self._chdb.query(sql, output, params=dict(params or {}))

    def open_stream(self, sql: bytes, output: str, params: Mapping[str, str]) -> tuple[Any, Any, Any]:
        """Start a SELECT whose result comes in chunks; return the stream and its first two chunks or None.

        Two, since most results have one chunk, and are then known to be whole.
        """
        stream = self._chdb.send_query(sql, output, params=dict(params))
        first = stream.fetch()
        return stream, first, None if first is None else stream.fetch()

    def insert(
        self,
        statement: Statement,
        input_format: str,
        rows: Iterable[bytes],
        params: Mapping[str, str] | None = None,
    ) -> int:
        """Insert `rows`, pieces of one stream in `input_format`; return the rows written, views included.

        Through a file, which is the one way chDB takes rows whole: text after the statement ends at an
        empty line, and chDB's streaming insert reports rows as written that a constraint or view refused.
        Such an insert is synchronous, whatever a setting `async_insert` says.
        """
        tail = b" FORMAT " + input_format.encode()
        head = statement.text.removesuffix(tail)
        end = split_settings(head)
        with tempfile.TemporaryFile(dir=self._spool_dir) as file:
            file.writelines(rows)
            file.flush()
            file.seek(0)
            # By its number: the engine takes a name for a pattern, and finds no rows where none matches.
            source = f" FROM INFILE '/dev/fd/{file.fileno()}' COMPRESSION 'none' ".encode()
            sql = head[:end].rstrip() + source + head[end:] + tail
            try:
                return int(self._chdb.query(sql, "Null", params=dict(params or {})).rows_written())
            except RuntimeError as error:
                if "(NO_DATA_TO_INSERT)" in str(error):
                    return 0
                raise EngineError(_SOURCE.sub("", str(error))) from None


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
        self._all = [c for group in self._free.values() for c in group]
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
