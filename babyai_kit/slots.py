"""The limit on calls in flight: a semaphore that serves the most urgent waiter first.

Knows nothing of what the calls are. asyncio's own semaphore serves in order of arrival, which leaves
the longest episodes for last and lets them run alone.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """At most `limit` holders at a time; waiters with the highest urgency go first, then in order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def hold(self, urgency: float) -> AsyncIterator[None]:
        """Hold a slot for the length of the block."""
        if self.held < self.limit and not self._waiting:
            self.held += 1
        else:
            await self._wait(urgency)
        try:
            yield
        finally:
            self.held -= 1
            self._grant()

    async def _wait(self, urgency: float) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-urgency, next(self._order), granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.held -= 1
            self._grant()
            raise

    def _grant(self) -> None:
        while self._waiting and self.held < self.limit:
            granted = heapq.heappop(self._waiting)[2]
            if not granted.done():
                self.held += 1
                granted.set_result(None)
