"""When the next call may start: evenly spaced, and not while a limit of its model asks to wait.

A limit of calls in flight (`CallSlots`) cannot keep a limit per minute: fast answers pass it, and all calls
that it refused would come back together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from babyai_kit.errors import RateLimited
from babyai_kit.experiment.patience import Backoff, asked_wait_s
from babyai_kit.experiment.retries import random_wait_s, spread

Sleep = Callable[[float], Awaitable[None]]
"""Waits for so many seconds."""


@dataclass
class _Limit:
    """What one model's server said of its rate."""

    refused_at: float = 0.0
    refusals: int = 0
    """In a row, those of calls that were in flight together once."""
    closed_until: float = 0.0


class Pace:
    """At most `per_minute` starts a minute (None: any number), none while its model is closed.

    Its waits use `sleep`, which may return early or raise.
    """

    def __init__(self, per_minute: float | None, backoff: Backoff) -> None:
        self._interval_s = 60 / per_minute if per_minute else 0.0
        self._next = time.monotonic()
        self._backoff = backoff
        self._limits: dict[str, _Limit] = {}

    def closed_s(self, model: str) -> float:
        """Seconds until calls of `model` may start again; 0 or less if they may."""
        limit = self._limits.get(model)
        return limit.closed_until - time.monotonic() if limit else 0.0

    async def open(self, model: str, sleep: Sleep = asyncio.sleep) -> None:
        """Return when calls of `model` may start, at a moment of this waiter's own."""
        while (wait_s := self.closed_s(model)) > 0:
            await sleep(spread(self._backoff, wait_s))

    async def turn(self, sleep: Sleep = asyncio.sleep) -> None:
        """Return when it is this call's turn to start."""
        while (wait_s := self._next - time.monotonic()) > 0:
            await sleep(wait_s)
        self._next = time.monotonic() + self._interval_s

    def refused(self, model: str, started: float, error: RateLimited) -> None:
        """A call that was `started` then was refused for its rate.

        Where the server does not say how long to wait, the first refusal closes nothing, since fewer calls in
        flight may do; later ones, without an answer in between, close longer and longer.
        """
        now = time.monotonic()
        limit = self._limits.setdefault(model, _Limit())
        wait_s = asked_wait_s(error)
        if started >= limit.refused_at:
            limit.refused_at = now
            if wait_s is None and limit.refusals:
                wait_s = random_wait_s(self._backoff, limit.refusals)
            limit.refusals += 1
        limit.closed_until = max(limit.closed_until, now + (wait_s or 0.0))

    def answered(self, model: str) -> None:
        """A call of `model` was answered."""
        if model in self._limits:
            self._limits[model].refusals = 0
