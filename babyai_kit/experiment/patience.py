"""What the calls of a run share while a service is away: since when nobody was answered, and for how long on.

A single call cannot tell a question that is always refused from a service that refuses everybody; all calls
together can. The user is told once what is waited for, and when the run goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from babyai_kit.errors import RateLimited, ServiceError, StoreError
from babyai_kit.waiting_times import in_words, seconds_in

REPEATED_LIMIT_S = 120.0
"""Waits for a rate limit are told once, and later ones from this length on: some come every minute."""


@dataclass(frozen=True)
class Backoff:
    """How often a call is tried, after which waits, and how long a service may be away. Seconds."""

    attempts: int = 10
    first_wait_s: float = 0.25
    """Longest random wait after the first failure; it doubles with each."""
    max_wait_s: float = 20.0
    """Longest wait, unless the service asks for a longer one."""
    patience_s: float = 600.0
    """Without any answer, the run stops after so long, and at once if it is asked to wait longer."""
    notice_s: float = 5.0
    """Without any answer, the user is told after so long."""

    @property
    def outage_s(self) -> float:
        """As long as all tries of a call may take: a service that failed everybody for so long is broken."""
        return self.attempts * self.max_wait_s


def asked_wait_s(error: ServiceError) -> float | None:
    """How long the service asked to wait, in seconds; None if it did not."""
    wait_s = error.retry_after_s
    if wait_s is None and asks_everybody(error):
        wait_s = seconds_in(str(error))
    return wait_s if wait_s is not None and wait_s > 0 else None


def asks_everybody(error: ServiceError) -> bool:
    """Whether the failure says nothing of the call that it hit, even if others are answered meanwhile."""
    return isinstance(error, (StoreError, RateLimited)) or error.kind == "loading"


def is_outage(error: ServiceError) -> bool:
    """Whether the service as a whole is away, or asks to wait."""
    asked = asks_everybody(error) or asked_wait_s(error) is not None
    return asked or error.kind in ("connection", "gateway")


class Patience:
    """Shared by the calls of a run. `say` gets a line when a wait begins to matter and when it is over."""

    def __init__(self, backoff: Backoff, say: Callable[[str], None] = print) -> None:
        self.backoff = backoff
        self.answers = 0
        """Calls that were answered so far."""
        self._say = say
        self._silent_since: float | None = None
        self._told = self._told_limit = False
        self._ended = False
        self._sleepers: set[asyncio.Future[None]] = set()

    @property
    def silence_s(self) -> float:
        """Seconds since the first failure after the last answer."""
        return 0.0 if self._silent_since is None else time.monotonic() - self._silent_since

    def answered(self) -> None:
        """A call was answered."""
        if self._told:
            self._say(f"Answered again after {in_words(self.silence_s)}; the run goes on.")
        self.answers += 1
        self._silent_since, self._told = None, False

    def failed(self, error: ServiceError) -> None:
        """A call failed and is about to be tried again.

        Raises a fatal error of the same type if the wait would be in vain.
        """
        if self._silent_since is None:
            self._silent_since = time.monotonic()
        asked_s, patience_s = asked_wait_s(error), self.backoff.patience_s
        if asked_s is not None and asked_s > patience_s:
            raise _fatal(error, f"{_service(error)} asks to wait {_until(asked_s)}; run again then")
        if is_outage(error) and self.silence_s >= patience_s:
            reason = f"no call was answered for {in_words(self.silence_s)}; check {_service(error)}"
            raise _fatal(error, f"{reason}, then run again")
        if not self._told and max(self.silence_s, asked_s or 0.0) >= self._notice_s(error):
            self._told = True
            self._told_limit = self._told_limit or isinstance(error, RateLimited)
            self._say(f"Waiting for {_service(error)}{self._how_long(error, asked_s)}: {error}")

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as the run ends."""
        if self._ended:
            return
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _wake, sleeper)
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)

    def end(self) -> None:
        """Nobody needs to wait any more: the run stops."""
        self._ended = True
        for sleeper in self._sleepers:
            _wake(sleeper)

    def _notice_s(self, error: ServiceError) -> float:
        if isinstance(error, RateLimited) and self._told_limit:
            return REPEATED_LIMIT_S
        at_once = isinstance(error, StoreError) or error.kind == "loading"
        return 0.0 if at_once else self.backoff.notice_s

    def _how_long(self, error: ServiceError, asked_s: float | None) -> str:
        if asked_s:
            return f", which asks for {in_words(asked_s)}"
        return f", at most {in_words(self.backoff.patience_s)}" if is_outage(error) else ""


def _fatal(error: ServiceError, reason: str) -> ServiceError:
    return type(error)(f"{reason}: {error}", kind=error.kind, retryable=False, fatal=True)


def _service(error: ServiceError) -> str:
    if isinstance(error, StoreError):
        return "ClickHouse, which these episodes need for every call"
    return "the gateway" if error.kind == "gateway" else "the model server"


def _until(seconds: float) -> str:
    try:
        moment = datetime.now() + timedelta(seconds=seconds)
    except OverflowError:
        return "for ever"
    return f"{in_words(seconds)}, until {moment:%Y-%m-%d %H:%M}"


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
