"""Lanes: connections set aside for one kind of statement, so that no kind keeps another waiting.

The gateway's rows have a lane of their own. However many queries run, an insert starts at once and finds
memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from babyai_kit.local.clickhouse.connection import Connection, EngineError


class MemoryBudget:
    """Divides memory among the statements that run.

    The engine's own limit for all of them would not do: whoever asks next gets the error, be it an insert.
    """

    def __init__(self, total_bytes: int) -> None:
        self._rest = total_bytes

    @contextlib.contextmanager
    def share(self) -> Iterator[int]:
        """A quarter of what is left, in bytes: much for one statement, and never too much for all."""
        share = self._rest // 4
        self._rest -= share
        try:
            yield share
        finally:
            self._rest += share


class Lane:
    """Some connections, each used by one caller at a time."""

    def __init__(
        self,
        connections: Sequence[Connection],
        *,
        settings: Mapping[str, str] | None = None,
        memory: MemoryBudget | None = None,
        max_wait_s: float | None = None,
    ) -> None:
        """`settings`: for every statement that does not say otherwise, as is its share of `memory`.
        `max_wait_s`: how long a caller waits for a connection; None: as long as it takes."""
        self._connections = tuple(connections)
        self._free = list(connections)
        self._places = asyncio.Semaphore(len(connections))
        self._settings = dict(settings or {})
        self._memory = memory
        self._max_wait_s = max_wait_s

    @contextlib.asynccontextmanager
    async def lease(self, database: str, settings: Mapping[str, str]) -> AsyncIterator[Connection]:
        """A connection with `database` and `settings`. Raises EngineError, also if none gets free in time."""
        await self._take_place()
        try:
            with self._memory.share() if self._memory else contextlib.nullcontext() as share:
                memory = {"max_memory_usage": str(share)} if share else {}
                async with self._prepared(database, memory | self._settings | dict(settings)) as connection:
                    yield connection
        finally:
            self._places.release()

    @contextlib.asynccontextmanager
    async def _prepared(self, database: str, settings: dict[str, str]) -> AsyncIterator[Connection]:
        match = next((c for c in self._free if c.database == database and c.settings == settings), None)
        connection = match or self._free[-1]
        self._free.remove(connection)
        try:
            await connection.run(connection.prepare, database, settings)
            yield connection
        except BaseException:
            # A half-applied setting or an open stream must not meet the next caller.
            await connection.run(connection.reset)
            raise
        finally:
            self._free.append(connection)

    async def close(self) -> None:
        """Close all connections once their statements have ended; nobody may lease one afterwards."""
        for _ in self._connections:
            await self._places.acquire()
        for connection in self._connections:
            await asyncio.to_thread(connection.close)

    async def _take_place(self) -> None:
        place = asyncio.ensure_future(self._places.acquire())
        try:
            await asyncio.wait([place], timeout=self._max_wait_s)
        except asyncio.CancelledError:
            if not place.cancel():
                self._places.release()
            raise
        if not place.done():
            place.cancel()
            raise EngineError(
                f"Code: 202. DB::Exception: {len(self._connections)} queries are running, and none has ended "
                f"within {self._max_wait_s:.0f} s; end one of them, or try again later. "
                "(TOO_MANY_SIMULTANEOUS_QUERIES)"
            )
