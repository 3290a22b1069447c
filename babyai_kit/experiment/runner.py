"""Every episode of a run at once: one fair queue of calls, a budget, feedback beside the steps.

- The limit is on calls in flight. Episodes with most steps left are served first, since a long episode
  left for last runs alone at the end.
- When the budget is spent, an answer is fatal, none is valid, or nothing is answered any more, no new call
  starts; calls in flight still finish and are recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from babyai_kit.errors import KitError, RateLimited, ServiceError
from babyai_kit.experiment.answer_watch import AnswerWatch
from babyai_kit.experiment.budget import Budget
from babyai_kit.experiment.call_slots import CallSlots
from babyai_kit.experiment.episode import PlannedEpisode, run_episode
from babyai_kit.experiment.feedback import send_feedback
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff, Patience
from babyai_kit.experiment.preflight import Preflight
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.retries import retrying
from babyai_kit.experiment.workflow_evaluations import Registrar
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import EpisodeRecord, StepRecord

LIVE_PER_SLOT = 4
"""Episodes alive at once, as a multiple of the calls in flight: enough to keep every slot busy."""

MAX_FAILED_IN_A_ROW = 3
"""Episodes that use up their tries, with no call answered in between, after which the run stops."""

MAX_REFUSED_IN_A_ROW = 20
"""Likewise, episodes of which a request was refused: some refusals are about one prompt."""


class _Stopped(Exception):
    """No new call may start; says nothing about why."""


class Runner:
    """Runs episodes under one limit and one budget, and journals them.

    `registrar` makes new episodes part of a workflow evaluation. After `all`, `ended` holds the rows of the
    episodes that ended, and `stopped` says why the others did not.
    """

    def __init__(
        self,
        session: Session,
        journal: Journal,
        progress: Progress,
        *,
        run_id: str,
        sampling: Sampling,
        preflight: Preflight,
        max_concurrency: int,
        budget: Budget,
        backoff: Backoff,
        pace: Pace | None = None,
        stop_after_invalid: int = 0,
        registrar: Registrar | None = None,
    ) -> None:
        self.stopped: KitError | None = None
        self.ended: list[EpisodeRecord] = []
        self._session = session
        self._journal = journal
        self._progress = progress
        self._run_id = run_id
        self._sampling = sampling
        self._preflight = preflight
        self._slots = CallSlots(max_concurrency)
        self._live = asyncio.Semaphore(LIVE_PER_SLOT * max_concurrency)
        self._budget = budget
        self._answers = AnswerWatch(stop_after_invalid, progress.say, max_tokens=sampling.max_tokens)
        self._patience = Patience(backoff, progress.say)
        self._persistently = retrying(backoff, self._on_retry, patience=self._patience)
        self._pace = pace or Pace(None, backoff)
        self._registrar = registrar
        self._failure: ServiceError | None = None
        self._failed_in_a_row = 0
        self._feedback: set[asyncio.Task[None]] = set()

    async def all(self, owed: Iterable[PlannedEpisode]) -> None:
        """Run every owed episode, then wait for its feedback."""
        try:
            await _together(self._one(planned) for planned in owed)
            if self._feedback:
                await asyncio.wait(self._feedback)
        finally:
            for task in self._feedback:
                task.cancel()
            await asyncio.gather(*self._feedback, return_exceptions=True)

    async def _one(self, planned: PlannedEpisode) -> None:
        async with self._live:
            if self.stopped:
                return
            try:
                if self._registrar:
                    planned = await self._registrar.register(planned, self._persistently)
                episode = await run_episode(
                    self._session,
                    planned,
                    sampling=self._sampling,
                    dialect=self._preflight.dialect(planned.key.model),
                    slot=partial(self._slot, planned.key.model),
                    record=self._record,
                    persistently=self._persistently,
                )
            except _Stopped:
                return
            except ServiceError as error:
                self._stop(error)
                return
            if self.stopped and episode.status == "error":
                return  # left unfinished: what stopped the run may well have failed this call
            self._journal.append(episode)
            self.ended.append(episode)
            self._progress.episode(episode)
            if episode.status == "error":
                self._count_failed()
            else:
                task = asyncio.create_task(self._send(episode))
                self._feedback.add(task)
                task.add_done_callback(self._feedback.discard)

    @asynccontextmanager
    async def _slot(self, model: str, urgency: int) -> AsyncIterator[None]:
        while True:
            await self._pace.open(model, self._sleep)
            async with self._slots.hold(urgency) as cuts:
                await self._pace.turn(self._sleep)
                self._stop(self._budget.spent())
                if self.stopped:
                    raise _Stopped
                if self._pace.closed_s(model) > 0:
                    continue  # its limit was reached while this call queued: others may have the slot
                started = time.monotonic()
                try:
                    yield
                except ServiceError as error:
                    self._failure = error
                    if isinstance(error, RateLimited):
                        self._slots.refused(cuts)
                        self._pace.refused(model, started, error)
                        self._progress.limit(self._slots.limit, self._slots.max_limit)
                    raise
                self._slots.answered()
                self._pace.answered(model)
                self._progress.limit(self._slots.limit, self._slots.max_limit)
                return

    def _record(self, step: StepRecord) -> None:
        self._journal.append(step)
        self._budget.spend(step)
        self._failed_in_a_row = 0
        self._stop(self._answers.count(step))
        self._progress.step(step, self._answers.invalid_share)

    def _on_retry(self, error: ServiceError) -> None:
        """A failure is about to be waited for."""
        if self.stopped:
            raise _Stopped

    async def _sleep(self, seconds: float) -> None:
        await self._patience.sleep(seconds)
        if self.stopped:
            raise _Stopped

    def _stop(self, reason: KitError | None) -> None:
        """No new call starts, for this reason if it is the first; None changes nothing."""
        if reason is not None:
            self.stopped = self.stopped or reason
            self._patience.end()

    def _count_failed(self) -> None:
        """Stop before a service that is gone turns the whole plan into errors."""
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
            self._stop(type(error)(reason, kind=error.kind, retryable=False, fatal=True))

    async def _send(self, episode: EpisodeRecord) -> None:
        # The gateway looks for the episode's rows in ClickHouse, and polls slowly if they are not there.
        try:
            await self._session.flush()
            await send_feedback(self._session, episode, self._run_id)
        except ServiceError:
            # Found missing, and sent again, when the run is reconciled.
            return


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all concurrently; if one fails or the caller is cancelled, cancel and await the others."""
    tasks = [asyncio.create_task(w) for w in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
