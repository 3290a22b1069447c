"""Lessons that the agent reflect wrote in earlier runs.

A lesson is the answer to the call that the agent makes after a failed episode, so it is where all answers
are: in the run's `calls.jsonl`. Nothing else stores it, and nothing changes it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import InputError
from babyai_kit.runs.records import EpisodeKey
from babyai_kit.runs.run import Run
from babyai_kit.runs.seed_blocks import TRAIN

AGENT = "reflect"
SEPARATOR = "+"
"""Between the names of several runs."""


@dataclass(frozen=True)
class Lessons:
    """What earlier runs have taught."""

    texts: tuple[tuple[EpisodeKey, str], ...]
    """In the order of the runs, then by episode."""
    played: tuple[tuple[str, str, int], ...]
    """Model, task and num_dists of every episode that could have taught something."""

    def of(self, model: str, task: str, num_dists: int) -> list[str] | None:
        """Each different lesson of that model in that task once; None if it has not played it."""
        place = (model, task, num_dists)
        if place not in self.played:
            return None
        return list(dict.fromkeys(text for k, text in self.texts if (k.model, k.task, k.num_dists) == place))


def read_lessons(runs: str, *, results: StrPath) -> Lessons:
    """The lessons of `runs`, names with `+` between them, from the train block.

    Raises InputError if there is no such run, or if the agent did not play in the train block there.
    """
    texts: list[tuple[EpisodeKey, str]] = []
    played: dict[tuple[str, str, int], None] = {}
    for name in runs.split(SEPARATOR):
        ended = _ended(run := Run.open(name, results=results))
        if not ended:
            raise InputError(
                f"run {name!r} has no finished episode of the agent {AGENT} in the train block; play it on "
                f"seeds {TRAIN.start} to {TRAIN.stop - 1} first, or name another run"
            )
        calls = run.call_records()
        for key, episode_id, steps in sorted(ended):
            played[key.model, key.task, key.num_dists] = None
            closing = [call for call in calls.get(episode_id, ()) if call.step == steps]
            texts += [(key, text) for call in closing if (text := (call.answer or "").strip())]
    return Lessons(tuple(texts), tuple(sorted(played)))


def _ended(run: Run) -> Sequence[tuple[EpisodeKey, str, int]]:
    """Episodes of the agent in the train block: key, id and number of steps."""
    return [
        (t.key, t.episode_id, len(t.steps))
        for t in run.trajectories()
        if t.success is not None and t.key.seed in TRAIN and t.key.variant.partition(":")[0] == AGENT
    ]
