"""The limit on calls in flight: a semaphore that serves the most urgent waiter first and yields to 429.

asyncio's own semaphore serves in order of arrival, which leaves the longest episodes for last and lets them
run alone. The limit adapts as TCP does: a refusal for the rate cuts it by a part, each answer adds a little,
so that it settles just below what the server takes.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CUT = 0.7
"""What is left of the limit after a refusal."""


class CallSlots:
    """At most `limit` calls at a time, from 1 to `max_limit`.

    Waiters with the highest urgency go first, equal ones in order of arrival.
    """

    def __init__(self, max_limit: int) -> None:
        self.max_limit = max_limit
        self.in_use = 0
        self._limit = float(max_limit)
        self._cuts = 0
        self._arrivals = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @property
    def limit(self) -> int:
        return int(self._limit)

    @asynccontextmanager
    async def hold(self, urgency: float) -> AsyncIterator[int]:
        """Hold a slot for the length of the block. Yields the number of cuts so far, for `refused`."""
        if self.in_use < self.limit and not self._waiting:
            self.in_use += 1
        else:
            await self._wait(urgency)
        try:
            yield self._cuts
        finally:
            self.in_use -= 1
            self._grant()

    def refused(self, cuts: int) -> None:
        """The server limited the rate of a call that began after so many `cuts`.

        Of calls that were in flight together only the first cuts the limit: the others began before they
        could know.
        """
        if cuts == self._cuts:
            self._cuts += 1
            self._limit = max(1.0, self._limit * CUT)

    def answered(self) -> None:
        """A call was answered: a whole round of answers raises the limit by one."""
        self._limit = min(float(self.max_limit), self._limit + 1 / self._limit)
        self._grant()

    async def _wait(self, urgency: float) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-urgency, next(self._arrivals), granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.in_use -= 1
            self._grant()
            raise

    def _grant(self) -> None:
        while self._waiting and self.in_use < self.limit:
            granted = heapq.heappop(self._waiting)[2]
            if not granted.done():
                self.in_use += 1
                granted.set_result(None)
