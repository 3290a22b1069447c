"""Trajectories: the journalled episodes of a run, found again and played again.

The environment is deterministic: the recorded actions bring back every state of an episode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babyai_kit.environment import TASKS
from babyai_kit.environment.playback import Playback
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import JournalError, NoEpisodeError, ReplayError, what_there_is
from babyai_kit.runs.journal import STEPS, line_of
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.provenance import Provenance
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, StepRecord


@dataclass(frozen=True)
class Trajectory:
    """An episode of the journal: what was seen, answered and done."""

    key: EpisodeKey
    variant_digest: str
    episode_id: str
    steps: tuple[StepRecord, ...]
    """In order from 0, without a gap."""
    record: EpisodeRecord | None
    """The episode's row; None while it is unfinished."""
    missing: tuple[int, ...] = ()
    """Numbers of the steps that were recorded once and have no line any more; `steps` ends before them."""
    provenance: Provenance = field(default=Provenance(), repr=False, compare=False)

    @property
    def success(self) -> bool | None:
        """Whether the goal was reached; None for an episode that ended by an error or is unfinished."""
        return self.record.success if self.record else None

    @property
    def outcome(self) -> str:
        """`success`, `failure`, `error` or `unfinished`."""
        return self.record.outcome if self.record else "unfinished"

    def states(self) -> Generator[tuple[TextEnv, StepRecord | None], None, None]:
        """The environment before each step, with the step that follows; then once more as it was left.

        It is one environment that moves on between the states: take from each what is needed.
        Raises JournalError, which names the line, where steps are missing or what was recorded is not what
        the environment shows.
        """
        if self.missing:
            all_lost = self.record is not None and len(self.missing) == self.record.episode_length
            episode = f"{self.key.task}, seed {self.key.seed}"
            raise self.provenance.lost(self.missing, episode, all_lost=all_lost)
        playback = Playback(self.key.task, num_dists=self.key.num_dists, seed=self.key.seed)
        with closing(playback.env):
            try:
                for step in playback.replay(self.steps):
                    yield playback.env, step
            except ReplayError as error:
                raise _located(error, self.provenance) from None
            yield playback.env, None


def assemble(
    manifest: Manifest,
    episodes: Mapping[tuple[EpisodeKey, str], EpisodeRecord],
    steps: Mapping[str, Sequence[StepRecord]],
    *,
    file: Path,
) -> list[Trajectory]:
    """Every episode that has a step or a row and was made with the run's present prompts.

    In the order of the plan: by variant, task, seed, repeat. `file`: where the steps were read, for messages.
    """
    provenance = Provenance(file, manifest.versions)
    records = {record.episode_id: record for record in episodes.values()}
    trajectories = []
    for episode_id in {**records, **steps}:
        record = records.get(episode_id)
        recorded = steps.get(episode_id, ())
        first = record or recorded[0]
        key, digest = first.key, first.variant_digest
        if record is None and (key, digest) in episodes:
            continue  # another attempt at the same episode was finished
        if manifest.is_present(key.variant, key.model, digest):
            trajectories.append(trajectory_of(record, recorded, provenance))
    variants = manifest.plan.variants
    return sorted(
        trajectories, key=lambda t: (_rank(t.key.variant, variants), _rank(t.key.task, TASKS), t.key)
    )


def trajectory_of(
    record: EpisodeRecord | None, recorded: Sequence[StepRecord], provenance: Provenance
) -> Trajectory:
    """The episode that has this row, if any, and these steps in their order; one of both is there."""
    first = record or recorded[0]
    whole = record.episode_length if record else recorded[-1].step + 1
    missing = sorted({*range(whole)} - {step.step for step in recorded})
    gapless = tuple(step for i, step in enumerate(recorded) if step.step == i)
    return Trajectory(
        first.key, first.variant_digest, first.episode_id, gapless, record, tuple(missing), provenance
    )


def choose(
    trajectories: Sequence[Trajectory],
    *,
    task: str | None = None,
    variant: str | None = None,
    seed: int | None = None,
    repeat: int | None = None,
    success: bool | None = None,
    episode_id: str | None = None,
) -> Trajectory:
    """The first of `trajectories` that has at least a step and is as asked; None asks nothing.

    The first, and not the prettiest: nobody picked it. One that lost steps comes only if all have. Raises
    NoEpisodeError if there is none.
    """
    criteria = {"task": task, "variant": variant, "seed": seed, "repeat": repeat}
    criteria = {name: value for name, value in criteria.items() if value is not None}
    fitting = [
        t
        for t in trajectories
        if all(getattr(t.key, name) == value for name, value in criteria.items())
        and episode_id in (None, t.episode_id)
        and (t.steps or t.missing)
    ]
    # One that can be shown comes before one whose steps were lost.
    for trajectory in sorted(fitting, key=lambda t: bool(t.missing)):
        if success is None or trajectory.success is success:
            return trajectory
    raise NoEpisodeError(_none_fits(trajectories, fitting, criteria, success, episode_id))


def _none_fits(
    trajectories: Sequence[Trajectory],
    fitting: Sequence[Trajectory],
    criteria: Mapping[str, Any],
    success: bool | None,
    episode_id: str | None,
) -> str:
    """Why no trajectory is as asked: a name that the run does not have, or outcomes that it does not have.

    `fitting`: those that are as asked but for their outcome.
    """
    if not trajectories:
        return "the run has no episode yet; begin or continue it first"
    for name, value in criteria.items():
        values = dict.fromkeys(getattr(t.key, name) for t in trajectories)
        if value not in values:
            return f"the run has no episode of {name} {value!r}; {what_there_is(value, map(str, values))}"
    asked = " and ".join(f"{name} {value}" for name, value in criteria.items())
    of = f" of {asked}" if asked else ""
    if not fitting:
        named = f" with id {episode_id}" if episode_id else ""
        return f"the run has no episode{of}{named}; ask for less, or list what it has with its report"
    kind = {True: "succeeded", False: "failed", None: "can be shown"}[success]
    outcomes = Counter(t.outcome for t in fitting)
    there = ", ".join(f"{outcome}: {count}" for outcome, count in sorted(outcomes.items()))
    return f"no episode{of} {kind} ({there}); ask for another outcome"


def located(error: ReplayError, folder: Path, versions: Mapping[str, str | None]) -> JournalError:
    """`error` with the line of the run in `folder`, and what is known of its cause.

    `versions`: of the packages that recorded it.
    """
    return _located(error, Provenance(folder / STEPS, versions))


def _located(error: ReplayError, provenance: Provenance) -> JournalError:
    step = error.recorded
    line = line_of(provenance.steps, step) if isinstance(step, StepRecord) else None
    return provenance.unlike(error, line)


def _rank(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (list(order).index(name), "") if name in order else (len(order), name)
