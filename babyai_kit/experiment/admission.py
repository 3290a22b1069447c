"""How a model joins a run: its first questions, then its episodes, in a `run.json` that knows its dialect.

Each model joins when its own questions are answered, whatever the others do. What a model's first step
needs of the run on disk is written before that step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from babyai_kit.configuration.dialects import Dialect
from babyai_kit.configuration.variants import Agent, Config
from babyai_kit.errors import ServiceError
from babyai_kit.experiment.backlog import Backlog
from babyai_kit.experiment.interview import why_not
from babyai_kit.experiment.lane import Lane
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.experiment.patience import Backoff
from babyai_kit.experiment.preflight import Preflight, preflight
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.workflow_evaluations import open_evaluations
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import EpisodeRecord

Divide = Callable[[Config, str], Backlog]
"""The plan of one model, divided under the digests of this configuration."""


class Admission:
    """Admits models to a run.

    `owing`: by model that has episodes to play, whom the gateway is asked for then. `divide`: see `Divide`.
    `done`: the episodes that are finished as far as `manifest` tells. `chats`: the names of agents of Python
    code. `evaluates`: the UI compares the episodes.
    """

    def __init__(
        self,
        session: Session,
        journal: Journal,
        progress: Progress,
        *,
        manifest: Manifest,
        config: Config,
        sampling: Sampling,
        backoff: Backoff,
        owing: Mapping[str, Sequence[Agent]],
        divide: Divide,
        done: Sequence[EpisodeRecord],
        chats: Collection[str] = (),
        evaluates: bool = False,
    ) -> None:
        self.manifest = manifest
        """With the dialects that are known so far."""
        self.done = list(done)
        """Episodes that were finished before this command."""
        self._session = session
        self._journal = journal
        self._progress = progress
        self._config = config
        self._sampling = sampling
        self._backoff = backoff
        self._owing = owing
        self._divide = divide
        self._chats = chats
        self._evaluates = evaluates

    async def admit(self, lane: Lane) -> Sequence[PlannedEpisode]:
        """The episodes of the model of `lane`, which may play them now.

        Raises InputError or ServiceError if it cannot, JournalError.
        """
        model = lane.model
        found = await self._first_answer(lane)
        for note in found.notes:
            self._progress.say(note)
        # The digests say how a model is asked, which for a new one is known only now.
        dialects = {model: found.dialect} if self._owing[model] else {}
        asked = self._config.asked_in({**self.manifest.dialects, **dialects})
        backlog = self._divide(asked, model)
        evaluations: Mapping[str, str] = {}
        if self._evaluates:
            evaluations = await open_evaluations(
                self._session, backlog.owed, self.manifest, lane.persistently, chats=self._chats
            )
        # Others may have joined meanwhile: nothing is waited for from here on.
        manifest = self.manifest.asked_in(dialects, self._config)
        self.manifest = replace(manifest, workflow_runs={**manifest.workflow_runs, **evaluations})
        self._journal.write_manifest(self.manifest)
        known = {episode.episode_id for episode in self.done}
        for episode in backlog.done:
            if episode.episode_id not in known:
                self.done.append(episode)
                self._progress.episode(episode)
        lane.dialect = found.dialect
        return backlog.owed

    async def _first_answer(self, lane: Lane) -> Preflight:
        if not self._owing[lane.model]:
            return Preflight(self.manifest.dialects.get(lane.model, Dialect()))
        try:
            return await preflight(
                self._session,
                self._owing[lane.model],
                self._sampling,
                self._backoff,
                pace=lane.pace,
                recorded=self.manifest.dialects.get(lane.model),
                say=lane.say,
            )
        except ServiceError as error:
            if len(self._owing) == 1:
                reason = why_not(error, model=lane.model, consequence="nothing was run")
            else:
                reason = why_not(error, consequence="none of its episodes was run")
            raise type(error)(reason, kind=error.kind, fatal=True) from None
