"""Self-imitation without a gateway: which of a model's own episodes it learns from.

Knows played episodes and their detours. Of every task and seed the success with the fewest needed steps is
kept, over all rounds; its detours are read and not learnt.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from babyai_kit.environment import ACTIONS, needed_steps
from babyai_kit.local.learner.rollouts import Played
from babyai_kit.local.learner.windows import Record

Best = dict[tuple[str, int], Record]
"""By task and seed."""


def as_record(episode: Played) -> Record:
    """The episode, of which the needed steps with a valid answer are learnt (of a failure all of them)."""
    needed = needed_steps(episode.task, episode.seed, [turn.action for turn in episode.turns])
    learn = tuple(need and turn.valid for need, turn in zip(needed, episode.turns, strict=True))
    return Record(episode.mission, episode.turns, learn)


def keep_best(best: Best, episodes: Iterable[Played]) -> Best:
    """`best` with every success among `episodes` that needs fewer steps."""
    kept = dict(best)
    for episode in episodes:
        if episode.success:
            record, place = as_record(episode), (episode.task, episode.seed)
            if place not in kept or sum(record.learn) < sum(kept[place].learn):
                kept[place] = record
    return kept


def shuffled(records: Sequence[Record], seed: int = 0) -> list[Record]:
    """A control: the same windows, each action to be learnt replaced by one drawn from all of them."""
    actions = [t.action for r in records for t, learn in zip(r.turns, r.learn, strict=True) if learn]
    assert set(actions) <= set(ACTIONS)
    random.Random(seed).shuffle(actions)
    drawn = iter(actions)
    return [
        replace(
            record,
            turns=tuple(
                replace(turn, action=next(drawn)) if learn else turn
                for turn, learn in zip(record.turns, record.learn, strict=True)
            ),
        )
        for record in records
    ]
