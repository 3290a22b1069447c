"""Every episode of a run at once: a lane of calls for each model, one budget, feedback beside the steps.

- A model begins to play when its own first questions are answered; one that cannot play holds no other.
- The limit is on calls in flight. Episodes with most steps left are served first, since a long episode
  left for last runs alone at the end.
- When the run's budget is spent, no new call starts. When a model's is, or its answer is fatal, none of its
  answers is valid, or it answers no more, its lane stops and the others go on. Calls in flight still finish
  and are recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.agents.rehearsal import AskedOtherwise
from babyai_kit.errors import BudgetReached, InputError, KitError, ServiceError
from babyai_kit.experiment.concurrency import together
from babyai_kit.experiment.episode import run_episode
from babyai_kit.experiment.feedback import send_feedback
from babyai_kit.experiment.lane import Lane, Stopped
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.workflow_evaluations import Registrar
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import CallRecord, EpisodeRecord, StepRecord

Admit = Callable[[Lane], Awaitable[Sequence[PlannedEpisode]]]
"""Lets the model of a lane play: its episodes. Raises InputError or ServiceError if it cannot."""


class Runner:
    """Runs episodes, each in the lane of its model, and journals them.

    `agents`: by name, those of Python code; the others are variants of `config/`. `new_episode`: the same
    episode, not begun and with another id. `registrar` makes new episodes part of a workflow evaluation.
    After `all`, `ended` holds the rows of the episodes that ended, and `stopped` says why the others did not.
    """

    def __init__(
        self,
        session: Session,
        journal: Journal,
        progress: Progress,
        *,
        run_id: str,
        sampling: Sampling,
        lanes: Mapping[str, Lane],
        agents: Mapping[str, MakeAgent] | None = None,
        new_episode: Callable[[PlannedEpisode], PlannedEpisode] = lambda planned: planned,
        registrar: Registrar | None = None,
    ) -> None:
        self.ended: list[EpisodeRecord] = []
        self._session = session
        self._journal = journal
        self._progress = progress
        self._run_id = run_id
        self._sampling = sampling
        self._lanes = lanes
        self._agents = agents or {}
        self._new_episode = new_episode
        self.begun_anew: list[str] = []
        """Why episodes began anew: their agent did not repeat what it had done."""
        self._registrar = registrar
        self._feedback: set[asyncio.Task[None]] = set()

    @property
    def stopped(self) -> KitError | None:
        """Why the run stopped, or a model of it; of several reasons the gravest."""
        return next(iter(self.stops), None)

    @property
    def stops(self) -> tuple[KitError, ...]:
        """All reasons why the run or models of it stopped: what failed, then budgets."""
        found: dict[str, KitError] = {}
        for lane in self._lanes.values():
            if (reason := lane.stopped) is None:
                continue
            of_run = len(self._lanes) == 1 or (isinstance(reason, BudgetReached) and not reason.model)
            reason = reason if of_run else named(reason, lane.model)
            found.setdefault(str(reason), reason)
        return tuple(sorted(found.values(), key=lambda reason: isinstance(reason, BudgetReached)))

    async def all(self, models: Iterable[str], admit: Admit) -> None:
        """Run every episode of `models`, each from when `admit` lets it play, then wait for its feedback."""
        try:
            await together(self._of_model(self._lanes[model], admit) for model in models)
            if self._feedback:
                await asyncio.wait(self._feedback)
        finally:
            for task in self._feedback:
                task.cancel()
            await asyncio.gather(*self._feedback, return_exceptions=True)

    async def _of_model(self, lane: Lane, admit: Admit) -> None:
        lane.is_starting = True
        try:
            owed = await lane.unless_stopped(admit(lane))
        except Stopped:
            return
        except (ServiceError, InputError) as error:
            lane.stop(error)
            return
        finally:
            lane.is_starting = False
        await together(self._one(planned, lane) for planned in owed)
        self._end_starts(lane.spent)

    async def _one(self, planned: PlannedEpisode, lane: Lane) -> None:
        async with lane.live:
            if lane.stopped:
                return
            try:
                try:
                    episode = await self._play(planned, lane)
                except AskedOtherwise as difference:
                    self.begun_anew.append(f"{planned.key.variant}: {difference}")
                    episode = await self._play(self._new_episode(planned), lane)
            except Stopped:
                self._end_starts(lane.spent)
                return
            except ServiceError as error:
                lane.stop(error)
                return
            if lane.stopped and episode.status == "error":
                return  # left unfinished: what stopped the model may well have failed this call
            self._journal.append(episode)
            self.ended.append(episode)
            self._progress.episode(episode)
            if episode.error_kind == "agent":
                lane.agent_failed((episode.error or "").removeprefix("agent: "))
            elif episode.status == "error":
                lane.episode_failed()
            elif episode.asked:
                task = asyncio.create_task(self._send(episode))
                self._feedback.add(task)
                task.add_done_callback(self._feedback.discard)

    def _end_starts(self, reason: KitError | None) -> None:
        """Ask no model any more whether it can play once the run's budget is spent."""
        if isinstance(reason, BudgetReached) and not reason.model:
            for lane in self._lanes.values():
                if lane.is_starting:
                    lane.stop(reason)

    async def _play(self, planned: PlannedEpisode, lane: Lane) -> EpisodeRecord:
        if self._registrar:
            planned = await self._registrar.register(planned, lane.persistently)
        make_agent = self._agents.get(planned.key.variant)
        return await run_episode(
            self._session,
            planned,
            make_agent=make_agent,
            chats=make_agent is not None,
            sampling=self._sampling,
            dialect=lane.dialect,
            slot=lane.call,
            record=self._record,
            persistently=lane.persistently,
        )

    def _record(self, record: StepRecord | CallRecord) -> None:
        self._journal.append(record)
        lane = self._lanes[record.model]
        if isinstance(record, CallRecord):
            lane.answered(record)
            return
        if record.variant not in self._agents:
            lane.answered(record)
        lane.decided(record)
        self._progress.step(record)

    async def _send(self, episode: EpisodeRecord) -> None:
        # The gateway looks for the episode's rows in ClickHouse, and polls slowly if they are not there.
        try:
            await self._session.flush()
            await send_feedback(self._session, episode, self._run_id)
        except ServiceError:
            # Found missing, and sent again, when the run is reconciled.
            return


def named(error: KitError, model: str) -> KitError:
    """`error` with the name of the model that it is about in front."""
    text = f"{model}: {error}"
    if isinstance(error, ServiceError):
        return type(error)(text, kind=error.kind, retryable=False, fatal=error.fatal)
    return BudgetReached(text, model) if isinstance(error, BudgetReached) else type(error)(text)
