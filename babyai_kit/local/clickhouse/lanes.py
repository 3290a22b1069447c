"""Lanes: connections set aside for one kind of statement, so that no kind keeps another waiting.

The gateway's rows have connections of their own. However many queries run, an insert starts at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from babyai_kit.local.clickhouse.connection import Connection, EngineError


class Lane:
    """Some connections, each used by one caller at a time."""

    def __init__(
        self,
        connections: Sequence[Connection],
        *,
        settings: Mapping[str, str] | None = None,
        max_wait_s: float | None = None,
    ) -> None:
        """`settings`: for every statement that does not say otherwise. `max_wait_s`: how long a caller waits
        for a connection; None: as long as it takes."""
        self.connections = tuple(connections)
        self._free = list(connections)
        self._places = asyncio.Semaphore(len(connections))
        self._settings = dict(settings or {})
        self._max_wait_s = max_wait_s

    @contextlib.asynccontextmanager
    async def lease(self, database: str, settings: Mapping[str, str]) -> AsyncIterator[Connection]:
        """A connection with `database` and `settings`. Raises EngineError, also if none gets free in time."""
        settings = self._settings | dict(settings)
        await self._take_place()
        try:
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
        finally:
            self._places.release()

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
                f"Code: 202. DB::Exception: {len(self.connections)} queries are running, and none has ended "
                f"within {self._max_wait_s:.0f} s; end one of them, or try again later. "
                "(TOO_MANY_SIMULTANEOUS_QUERIES)"
            )
