"""Episodes that a person plays, in a run of their own: its plan, its journal, and the present episode.

The journal is that of any run, so all that reads runs reads this one. An episode that was broken off goes on
from its recorded steps. All methods block: they are for threads.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from babyai_kit.configuration.models import HUMAN
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.served_models import Model
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config, Variant
from babyai_kit.environment import ACTIONS, shortest_length
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError, ReplayError, UnsupportedLevelError
from babyai_kit.runs.journal import Journal, read_episodes, read_manifest, read_steps, run_folder
from babyai_kit.runs.manifest import Manifest, manifest_for
from babyai_kit.runs.plan import Plan, Sampling, make_plan
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, StepRecord, summarize

NO_GATEWAY = "none"


@dataclass(frozen=True)
class Choice:
    """What a person has chosen to play."""

    run: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    num_dists: int = 0
    picture: bool = False
    """Whether the agent's view is shown as a picture beside the text."""

    @property
    def agent(self) -> str:
        """As tables call the player: with the picture, somebody else plays."""
        return f"{HUMAN}:picture=true" if self.picture else HUMAN

    @property
    def digest(self) -> str:
        """12 hex digits over what the player is shown."""
        return hashlib.sha256(self.agent.encode()).hexdigest()[:12]

    def config(self) -> Config:
        """The player as configurations know agents."""
        own = Model(HUMAN, HUMAN)
        player = Variant(self.agent, HUMAN, self.digest, {}, own, chats=True, asks={})
        return Config(Path(), Settings(model=HUMAN), {self.agent: player})

    def plan(self) -> Plan:
        """Raises InputError for an unknown task, an impossible seed, and the like."""
        return make_plan(
            self.config(),
            run=self.run,
            variants=[self.agent],
            tasks=self.tasks,
            seeds=self.seeds,
            num_dists=self.num_dists,
            history_length=0,
            models=[HUMAN],
        )


class Present:
    """The episode that is being played."""

    def __init__(self, key: EpisodeKey, digest: str, episode_id: str) -> None:
        self.key, self.digest, self.id = key, digest, episode_id
        self.playback = Playback(key.task, num_dists=key.num_dists, seed=key.seed)
        self.steps: list[StepRecord] = []
        self.record: EpisodeRecord | None = None
        self._shortest: int | None = None
        with suppress(UnsupportedLevelError):
            self._shortest = shortest_length(self.playback.env)

    def resume(self, steps: list[StepRecord]) -> None:
        """Go to where `steps` end. Raises ReplayError where the environment is another now."""
        for step in self.playback.replay(steps):
            self.steps.append(step)

    def take(self, action: str, seconds: float) -> StepRecord:
        """The step of `action`, for which the person took that long."""
        step = StepRecord(
            **vars(self.key),
            variant_digest=self.digest,
            episode_id=self.id,
            step=len(self.steps),
            observation=self.playback.observation,
            answer=action,
            thinking=None,
            action=action,
            valid=True,
            reward=self.playback.step(action),
            input_tokens=None,
            output_tokens=None,
            cost_usd=0.0,
            call_s=round(seconds, 3),
            inference_id="",
            calls=0,
        )
        self.steps.append(step)
        return step

    def end(self) -> EpisodeRecord:
        self.record = summarize(
            self.key,
            self.digest,
            self.id,
            self.steps,
            max_steps=self.playback.env.max_steps,
            shortest_length=self._shortest,
        )
        return self.record


class Game:
    """A person's run, which this process alone may write until `close`."""

    def __init__(
        self, results: StrPath, choice: Choice, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises InputError for a choice that cannot be played, JournalError if another process plays it."""
        self.choice, self._clock = choice, clock
        self.plan = choice.plan()
        folder = run_folder(results, choice.run)
        _check_persons(read_manifest(folder), choice.run)
        self._journal = Journal(folder)
        self._journal.__enter__()
        try:
            manifest = _manifest(read_manifest(folder), self.plan, choice)
            self._journal.write_manifest(manifest)
            own, without = manifest.own_models, manifest.without_history
            self.keys = self.plan.keys(own, without_history=without)
            digest = choice.digest
            self.finished = {key for key, of in read_episodes(folder) if of == digest} & set(self.keys)
            steps = read_steps(folder).values()
            self._begun = {s[0].key: s for s in steps if s[0].variant_digest == digest}
            self.present: Present | None = None
            self.proceed()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others write the run."""
        self._journal.__exit__(None, None, None)

    def proceed(self) -> None:
        """To the first episode that is not finished, if the present one is; else nothing."""
        if self.present is not None and self.present.record is None:
            return
        key = next((key for key in self.keys if key not in self.finished), None)
        self.present = None if key is None else self._open(key)
        self._shown = self._clock()

    def act(self, action: str) -> None:
        """Do one of ACTIONS, and write it down. Raises InputError, JournalError."""
        if action not in ACTIONS:
            raise InputError(f"unknown action {action!r}; use one of {', '.join(ACTIONS)}")
        present = self.present
        if present is None or present.record is not None:
            raise InputError("this episode has ended; go on to the next")
        now = self._clock()
        self._journal.append(present.take(action, now - self._shown))
        self._shown = now
        self._finish(present)

    def _open(self, key: EpisodeKey) -> Present:
        begun = self._begun.get(key, [])
        whole = [step for number, step in enumerate(begun) if step.step == number]
        present = Present(key, self.choice.digest, whole[0].episode_id if whole else str(uuid.uuid4()))
        try:
            present.resume(whole)
        except ReplayError:  # another minigrid recorded it: it is played anew
            present = Present(key, self.choice.digest, str(uuid.uuid4()))
        self._finish(present)
        return present

    def _finish(self, present: Present) -> None:
        if present.playback.done:
            self._journal.append(present.end())
            self.finished.add(present.key)


def _check_persons(before: Manifest | None, run: str) -> None:
    if before is not None and set(before.models) != {HUMAN}:
        raise InputError(
            f"run {run!r} has episodes of models; choose another name for those of a person, such as 'human'"
        )


def _manifest(before: Manifest | None, plan: Plan, choice: Choice) -> Manifest:
    config = choice.config()
    manifest = manifest_for(before, plan, Sampling(), config, config.settings)
    return replace(manifest, gateway=NO_GATEWAY)
