"""The calls of one model in a run: how many may be in flight, how fast, and when no more may start.

Models do not share any of it: a provider that limits, fails or is away holds its own episodes and no others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from babyai_kit.configuration.dialects import Dialect
from babyai_kit.errors import AgentError, KitError, RateLimited, ServiceError
from babyai_kit.experiment.answer_watch import AnswerWatch
from babyai_kit.experiment.budget import Budget
from babyai_kit.experiment.call_slots import CallSlots
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff, Patience
from babyai_kit.experiment.retries import retrying
from babyai_kit.runs.records import CallRecord, StepRecord

LIVE_PER_SLOT = 4
"""Episodes alive at once, as a multiple of the calls in flight: enough to keep every slot busy."""

T = TypeVar("T")

MAX_FAILED_IN_A_ROW = 3
"""Episodes that use up their tries, with no call answered in between, after which the model's calls stop."""

MAX_REFUSED_IN_A_ROW = 20
"""Likewise, episodes of which a request was refused: some refusals are about one prompt."""


class Stopped(Exception):
    """No new call may start; says nothing about why."""


class Lane:
    """The calls of one model. `stopped` says why no new one may start; None while they may.

    `budgets`: the run's, which other lanes share, and its own. `chats`: the variants that are agents of
    Python code. `say` gets a line for what the user should know.
    """

    def __init__(
        self,
        model: str,
        *,
        max_concurrency: int,
        backoff: Backoff,
        pace: Pace,
        budgets: Sequence[Budget],
        say: Callable[[str], None],
        stop_after_invalid: int = 0,
        max_tokens: int | None = None,
        chats: Collection[str] = (),
    ) -> None:
        self.model = model
        self.dialect: Dialect | None = None
        """None until the model's first questions are answered."""
        self.is_starting = False
        """True while it is asked them."""
        self.stopped: KitError | None = None
        self.say = say
        self.pace = pace
        self.live = asyncio.Semaphore(LIVE_PER_SLOT * max_concurrency)
        self.slots = CallSlots(max_concurrency)
        self.answers = AnswerWatch(stop_after_invalid, say, max_tokens=max_tokens, chats=chats)
        self.persistently = retrying(backoff, self._on_retry, patience=Patience(backoff, say))
        self._budgets = budgets
        self._ended = asyncio.Event()
        self._failure: ServiceError | None = None
        self._failed_in_a_row = self._agent_failures = 0

    @property
    def state(self) -> str:
        """What holds its calls back, in words; empty if nothing does."""
        if self.stopped:
            return "stopped"
        if self.is_starting:
            return "starting"
        if (wait_s := self.pace.closed_s(self.model)) > 1:
            return f"waits {wait_s:.0f} s"
        if self.slots.limit < self.slots.max_limit:
            return f"{self.slots.limit} of {self.slots.max_limit} calls at once"
        return ""

    @property
    def spent(self) -> KitError | None:
        """Why its budgets allow no new call; None while they do."""
        return next((reason for budget in self._budgets if (reason := budget.spent())), None)

    @asynccontextmanager
    async def call(self, urgency: int) -> AsyncIterator[None]:
        """Held for one call, which begins when there is a slot and its turn. Raises Stopped."""
        while True:
            await self.pace.open(self.model, self._sleep)
            async with self.slots.hold(urgency) as cuts:
                await self.pace.turn(self._sleep)
                self.stop(self.spent)
                if self.stopped:
                    raise Stopped
                if self.pace.closed_s(self.model) > 0:
                    continue  # its limit was reached while this call queued: others may have the slot
                started = time.monotonic()
                try:
                    yield
                except ServiceError as error:
                    self._failure = error
                    if isinstance(error, RateLimited):
                        self.slots.refused(cuts)
                        self.pace.refused(self.model, started, error)
                    raise
                self.slots.answered()
                self.pace.answered(self.model)
                return

    def answered(self, record: StepRecord | CallRecord) -> None:
        """A call was answered and recorded; a step if its agent calls once for every step."""
        for budget in self._budgets:
            budget.spend(record)
        self._failed_in_a_row = 0

    def decided(self, step: StepRecord) -> None:
        """A step was taken."""
        self.stop(self.answers.count(step))

    def agent_failed(self, message: str) -> None:
        """An agent's code raised: it will do so again, and its calls are paid for."""
        self._agent_failures += 1
        if self._agent_failures >= MAX_FAILED_IN_A_ROW:
            self.stop(AgentError(message, fatal=True))

    def stop(self, reason: KitError | None) -> None:
        """No new call starts, for this reason if it is the first; None changes nothing."""
        if reason is not None:
            self.stopped = self.stopped or reason
            self.persistently.patience.end()
            self._ended.set()

    async def unless_stopped(self, work: Awaitable[T]) -> T:
        """The result of `work`, which ends when no new call may start. Raises Stopped then."""
        tasks = asyncio.ensure_future(work), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise Stopped
            return tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def episode_failed(self) -> None:
        """Stop before a service that is gone turns all episodes into errors."""
        self._failed_in_a_row += 1
        error = self._failure
        if error is None:
            return
        most = MAX_FAILED_IN_A_ROW if error.retryable else MAX_REFUSED_IN_A_ROW
        if self._failed_in_a_row >= most:
            how = "used up their tries" if error.retryable else "were refused an answer"
            reason = (
                f"{self._failed_in_a_row} episodes in a row {how} and no call was answered "
                f"meanwhile; check that the model is still served, then run again: {error}"
            )
            self.stop(type(error)(reason, kind=error.kind, retryable=False, fatal=True))

    def _on_retry(self, error: ServiceError) -> None:
        """A failure is about to be waited for."""
        if self.stopped:
            raise Stopped

    async def _sleep(self, seconds: float) -> None:
        await self.persistently.patience.sleep(seconds)
        if self.stopped:
            raise Stopped
