"""Every episode of a run at once: one fair queue of calls, a budget, feedback beside the steps.

Knows concurrency and when no new call may start; nothing of plans, prompts or files.
- The limit is on calls in flight. Episodes with most steps left are served first, since a long episode
  left for last runs alone at the end.
- When the budget is spent or an answer is fatal, calls in flight still finish and are recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from babyai_kit.episode import PlannedEpisode, run_episode
from babyai_kit.errors import BudgetReached, KitError, ServiceError
from babyai_kit.evaluations import Registrar
from babyai_kit.feedback import send_feedback
from babyai_kit.journal import Journal
from babyai_kit.plan import Sampling
from babyai_kit.progress import Progress
from babyai_kit.records import EpisodeRecord, StepRecord
from babyai_kit.session import FLUSH_S, Session
from babyai_kit.slots import Slots

LIVE_PER_SLOT = 4
"""Episodes alive at once, as a multiple of the calls in flight: enough to keep every slot busy."""


class _Stopped(Exception):
    """No new call may start; says nothing about why."""


class Runner:
    """Runs episodes under one limit and one budget, and journals them.

    `spent_usd` is what the run has cost before; `registrar` makes new episodes part of a workflow
    evaluation. After `all`, `ended` holds the rows of the episodes that ended, and `stopped` says why the
    others did not.
    """

    def __init__(
        self,
        session: Session,
        journal: Journal,
        progress: Progress,
        *,
        run_id: str,
        sampling: Sampling,
        max_concurrency: int,
        max_cost_usd: float | None,
        spent_usd: float,
        registrar: Registrar | None = None,
    ) -> None:
        self.stopped: KitError | None = None
        self.ended: list[EpisodeRecord] = []
        self._session = session
        self._journal = journal
        self._progress = progress
        self._run_id = run_id
        self._sampling = sampling
        self._slots = Slots(max_concurrency)
        self._live = asyncio.Semaphore(LIVE_PER_SLOT * max_concurrency)
        self._max_cost_usd = max_cost_usd
        self._spent_usd = spent_usd
        self._registrar = registrar
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
                    planned = await self._registrar.register(planned)
                episode = await run_episode(
                    self._session,
                    planned,
                    sampling=self._sampling,
                    slot=self._slot,
                    record=self._record,
                )
            except _Stopped:
                return
            except ServiceError as error:
                self.stopped = self.stopped or error
                return
            self._journal.append(episode)
            self.ended.append(episode)
            self._progress.episode(episode)
            if episode.status == "ok":
                task = asyncio.create_task(self._send(episode))
                self._feedback.add(task)
                task.add_done_callback(self._feedback.discard)

    @asynccontextmanager
    async def _slot(self, urgency: int) -> AsyncIterator[None]:
        async with self._slots.hold(urgency):
            if self._max_cost_usd is not None and self._spent_usd >= self._max_cost_usd:
                self.stopped = self.stopped or BudgetReached(
                    f"the budget of ${self._max_cost_usd:g} is spent (${self._spent_usd:.4f}); "
                    "run again with a larger max_cost_usd to go on"
                )
            if self.stopped:
                raise _Stopped
            yield

    def _record(self, step: StepRecord) -> None:
        self._journal.append(step)
        self._spent_usd += step.cost_usd or 0.0
        self._progress.step(step)

    async def _send(self, episode: EpisodeRecord) -> None:
        # The gateway looks for the episode's rows in ClickHouse, and polls slowly if they are not there.
        await asyncio.sleep(FLUSH_S)
        try:
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
