"""One connection to chDB: its database, its settings, and the statements that run on it.

To be imported in the server process only: chDB replaces the process's memory allocator.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import chdb

from babyai_kit.local.clickhouse.engine_config import MAX_SECONDS
from babyai_kit.local.clickhouse.sql import split_settings
from babyai_kit.local.clickhouse.statement_filter import Statement

T = TypeVar("T")

STREAMED = {"Native", "JSONEachRow", "JSONCompactEachRow", "RowBinary", "TabSeparated", "TSV", "CSV"}
"""Formats whose chunks, one after the other, are the whole result (others repeat a header per chunk)."""

_KILL_INTERVAL_S = 0.1
"""A statement may escape the first try: the engine does not know it before it is parsed."""

_CODE = re.compile(r"Code: (\d+)\. ")
_SOURCE = re.compile(r"\n?: \(in file/uri /dev/fd/\d+\)")
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


_REMEDIES = {
    "TIMEOUT_EXCEEDED": f"allow up to {MAX_SECONDS} s with SETTINGS max_execution_time = SECONDS",
    "MEMORY_LIMIT_EXCEEDED": "allow more with SETTINGS max_memory_usage = BYTES, up to half of the memory",
}
"""By the name of an error, what ends its text."""


class EngineError(Exception):
    """An error of the engine, or one in its form: `Code: N. DB::Exception: ... (NAME)`."""

    def __init__(self, text: str) -> None:
        for name, remedy in _REMEDIES.items():
            text = text.replace(f". ({name})", f"; {remedy}. ({name})")
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

    def __init__(
        self,
        target: str,
        spool_dir: Path,
        read_only: bool,
        *,
        kill: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """`kill` ends the statement of a thread, given by its native id; None where callers share a
        connection, and would end each other's."""
        self._target = target
        self._spool_dir = spool_dir
        self._read_only = read_only
        self._kill = kill
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chdb")
        self._thread_id = 0
        self._chdb: Any = None
        self._configured: dict[str, bytes] = {}
        self.database = ""
        self.settings: dict[str, str] = {}

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Call `work` in this connection's thread. Raises EngineError.

        When the caller is cancelled, so is the statement, and the connection is idle again on return.
        """
        call = asyncio.get_running_loop().run_in_executor(self._thread, self._guard, work, *args)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await self._end(call)
            raise

    async def _end(self, call: asyncio.Future[Any]) -> None:
        # Or asyncio would log its error as one that nobody has seen.
        call.add_done_callback(lambda call: call.cancelled() or call.exception())
        while not call.done():
            if self._kill is not None:
                await self._kill(self._thread_id)
            await asyncio.wait([call], timeout=_KILL_INTERVAL_S)

    def _guard(self, work: Callable[..., T], *args: Any) -> T:
        self._thread_id = threading.get_native_id()
        if self._chdb is None:
            self._open()
        try:
            return work(*args)
        except UnicodeDecodeError as error:
            # chDB could not decode the text of its own error, which quotes what a client sent.
            raise EngineError(error.object.decode("utf-8", "replace")) from None
        except RuntimeError as error:
            raise EngineError(str(error)) from None

    def _open(self) -> None:
        self._chdb = chdb.connect(self._target)
        self.database = "default"
        self.settings = {}
        changed = self._chdb.query(
            "SELECT name, value FROM system.settings WHERE changed", "JSONCompactEachRow"
        )
        self._configured = {
            name: value.encode() for name, value in map(json.loads, changed.bytes().splitlines())
        }
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
            # DEFAULT is the engine's own default, which the configuration may have replaced.
            default = quote(self._configured[name]) if name in self._configured else b"DEFAULT"
            self._chdb.query(b"SET %s = %s" % (name.encode(), default), "Null")
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
