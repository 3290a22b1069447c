"""Group commit: inserts that wait for the same statement go to the engine as one.

An insert costs the engine 20 to 80 ms whether it has one row or hundreds, so those that arrive while one is
running share the next. The caller returns when its rows are written; a bad row fails only the caller who
sent it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from babyai_kit.local.clickhouse.connection import EngineError
from babyai_kit.local.clickhouse.lanes import Lane
from babyai_kit.local.clickhouse.statement_filter import Statement

GROUPED = {"JSONEachRow", "JSONCompactEachRow", "JSONStringsEachRow"}
"""Formats that can be joined with a line break and that take 3 bytes a row or more: a group of 2 MiB is then
one block of the engine, which is written whole or not at all."""

_BAD_ROW = re.compile(r"InputFormat|\(at row \d+\)|VIOLATED_CONSTRAINT")
_IN_VIEW = "pushing to view"
"""An error in the rows themselves is found before anything is written, so each request may be tried
alone. After any other error (a view's, disk, memory, time) the table may hold the rows, and a second try
could write them twice: it goes to all."""


@dataclass
class _PendingInsert:
    rows: bytes
    """Ends with a line break."""
    written: asyncio.Future[int]

    @property
    def lines(self) -> int:
        return self.rows.count(b"\n")

    def succeed(self, rows: int) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):  # its caller has left
            self.written.set_result(rows)

    def fail(self, reason: str) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            self.written.set_exception(EngineError(reason))


@dataclass
class _Queue:
    pending: list[_PendingInsert] = field(default_factory=list)
    worker: asyncio.Task[None] | None = None


_Key = tuple[str, Statement, str, tuple[tuple[str, str], ...]]


class InsertQueues:
    """The queues of waiting inserts, one per database, statement, format and settings."""

    def __init__(
        self,
        lane: Lane,
        *,
        window_s: float = 0.005,
        max_group_bytes: int = 2 << 20,
        max_body_bytes: int = 512 << 10,
    ) -> None:
        """`window_s`: how long a group waits for more inserts. Bodies above `max_body_bytes` go alone."""
        self._lane = lane
        self._window_s = window_s
        self._max_group_bytes = max_group_bytes
        self._max_body_bytes = max_body_bytes
        self._queues: dict[_Key, _Queue] = {}

    def accepts(self, input_format: str, size: int) -> bool:
        """True if a body of `size` bytes may share a statement with others."""
        return input_format in GROUPED and size <= self._max_body_bytes

    async def add(
        self, database: str, statement: Statement, input_format: str, settings: Mapping[str, str], rows: bytes
    ) -> int:
        """Insert `rows` together with others; return the rows written for them (views included).

        Raises EngineError, for these rows only.
        """
        key = (database, statement, input_format, tuple(sorted(settings.items())))
        queue = self._queues.setdefault(key, _Queue())
        if not rows.endswith(b"\n"):
            rows += b"\n"
        insert = _PendingInsert(rows, asyncio.get_running_loop().create_future())
        queue.pending.append(insert)
        if queue.worker is None:
            queue.worker = asyncio.create_task(self._work(key, queue))
        return await insert.written

    async def _work(self, key: _Key, queue: _Queue) -> None:
        while queue.pending:
            # Before every group, not the first only: callers come back with their next row at once, and
            # would else wait in turns, half of them for the other half.
            await asyncio.sleep(self._window_s)
            group = [queue.pending.pop(0)]
            size = len(group[0].rows)
            while queue.pending and size + len(queue.pending[0].rows) <= self._max_group_bytes:
                group.append(queue.pending.pop(0))
                size += len(group[-1].rows)
            await self._write(key, group)
        del self._queues[key]

    async def _write(self, key: _Key, group: list[_PendingInsert]) -> None:
        database, statement, input_format, settings = key
        try:
            async with self._lane.lease(database, dict(settings)) as connection:
                rows = [insert.rows for insert in group]
                written = await connection.run(connection.insert, statement, input_format, rows)
        except EngineError as error:
            reason = str(error)
            if len(group) > 1 and _BAD_ROW.search(reason) and _IN_VIEW not in reason:
                for insert in group:
                    await self._write(key, [insert])
                return
            for insert in group:
                insert.fail(reason)
        except Exception as error:
            for insert in group:
                insert.fail(f"insert failed: {type(error).__name__}")
        else:
            lines = sum(insert.lines for insert in group)
            for insert in group:
                insert.succeed(round(written * insert.lines / lines))
