"""Group commit: inserts that wait for the same statement go to the engine as one.

Knows how inserts are joined and split again; nothing of HTTP. An insert costs the engine 20 to 80 ms
whether it has one row or hundreds, so those that arrive while one is running share the next. The
caller returns when its rows are written; a bad row fails only the caller who sent it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from babyai_kit.local.clickhouse.engine import Engine, EngineError
from babyai_kit.local.clickhouse.gate import Statement

GROUPED = {"JSONEachRow", "JSONCompactEachRow", "JSONStringsEachRow"}
"""Formats that can be joined with a line break and that take 3 bytes a row or more: a group of
GROUP_BYTES is then one block of the engine, which is written whole or not at all."""

WINDOW_S = 0.005
GROUP_BYTES = 2 << 20
SMALL_BYTES = 512 << 10
"""A larger body goes alone."""

_BAD_ROW = re.compile(r"InputFormat|\(at row \d+\)|VIOLATED_CONSTRAINT")
_TOO_LATE = "pushing to view"
"""An error in the rows themselves is found before anything is written, so each request may be tried
alone. After any other error (a view's, disk, memory, time) the table may hold the rows, and a second try
could write them twice: it goes to all."""


@dataclass
class _Waiting:
    rows: bytes
    done: asyncio.Future[int]

    @property
    def lines(self) -> int:
        return max(1, self.rows.count(b"\n") + (not self.rows.endswith(b"\n")))


@dataclass
class _Queue:
    waiting: list[_Waiting] = field(default_factory=list)
    worker: asyncio.Task[None] | None = None


_Key = tuple[str, Statement, str, tuple[tuple[str, str], ...]]


class Inserts:
    """The queues of waiting inserts, one per database, statement, format and settings."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queues: dict[_Key, _Queue] = {}
        self.requests = 0
        self.statements = 0

    def fits(self, input_format: str, size: int) -> bool:
        """True if a body of `size` bytes may share a statement with others."""
        return input_format in GROUPED and size <= SMALL_BYTES

    async def add(
        self, database: str, statement: Statement, input_format: str, settings: Mapping[str, str], rows: bytes
    ) -> int:
        """Insert `rows` together with others; return the rows written for them (views included).

        Raises EngineError, for these rows only.
        """
        key = (database, statement, input_format, tuple(sorted(settings.items())))
        queue = self._queues.setdefault(key, _Queue())
        item = _Waiting(rows, asyncio.get_running_loop().create_future())
        queue.waiting.append(item)
        self.requests += 1
        if queue.worker is None:
            queue.worker = asyncio.create_task(self._work(key, queue))
        return await item.done

    async def _work(self, key: _Key, queue: _Queue) -> None:
        while queue.waiting:
            # Before every group, not the first only: callers come back with their next row at once, and
            # would else wait in turns, half of them for the other half.
            await asyncio.sleep(WINDOW_S)
            group: list[_Waiting] = []
            size = 0
            while queue.waiting and (not group or size + len(queue.waiting[0].rows) <= GROUP_BYTES):
                item = queue.waiting.pop(0)
                size += len(item.rows)
                group.append(item)
            await self._write(key, group)
        del self._queues[key]

    async def _write(self, key: _Key, group: list[_Waiting]) -> None:
        try:
            written = await self._insert(key, [item.rows for item in group])
        except EngineError as error:
            text = str(error)
            if len(group) > 1 and _BAD_ROW.search(text) and _TOO_LATE not in text:
                for item in group:
                    await self._write(key, [item])
                return
            for item in group:
                _fail(item.done, EngineError(text))
        except Exception as error:
            for item in group:
                _fail(item.done, EngineError(f"insert failed: {type(error).__name__}"))
        else:
            lines = sum(item.lines for item in group)
            for item in group:
                with contextlib.suppress(asyncio.InvalidStateError):
                    item.done.set_result(round(written * item.lines / lines))

    async def _insert(self, key: _Key, bodies: list[bytes]) -> int:
        database, statement, input_format, settings = key
        pieces = [body if body.endswith(b"\n") else body + b"\n" for body in bodies]
        self.statements += 1
        async with self._engine.lease(database, dict(settings)) as connection:
            return await connection.run(connection.insert, statement, input_format, pieces)


def _fail(done: asyncio.Future[int], error: EngineError) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        done.set_exception(error)
