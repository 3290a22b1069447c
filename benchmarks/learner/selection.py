"""Self-imitation without a gateway: which of a model's own episodes it learns from.

Of every task and seed the success with the fewest needed steps is kept, over all rounds; detours are read
and not learnt.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rollouts import Episode

from babyai_kit.environment import ACTIONS, needed_steps
from babyai_kit.local.learner.windows import Record

BestRecords = dict[tuple[str, int], Record]
"""By task and seed."""


def to_record(episode: Episode) -> Record:
    """The episode, of which the needed steps with a valid answer are learnt (of a failure, all of them)."""
    needed = needed_steps(episode.task, episode.seed, [turn.action for turn in episode.turns])
    learn = tuple(need and turn.valid for need, turn in zip(needed, episode.turns, strict=True))
    return Record(episode.mission, episode.turns, learn)


def keep_best(best: BestRecords, episodes: Iterable[Episode]) -> BestRecords:
    """`best`, updated by every success among `episodes` that needs fewer steps."""
    result = dict(best)
    for episode in episodes:
        if episode.success:
            record, key = to_record(episode), (episode.task, episode.seed)
            if key not in result or sum(record.learn) < sum(result[key].learn):
                result[key] = record
    return result


def shuffle_actions(records: Sequence[Record], seed: int = 0) -> list[Record]:
    """A control: the same records, with the actions to be learnt shuffled among all of them."""
    actions = [t.action for r in records for t, learn in zip(r.turns, r.learn, strict=True) if learn]
    assert set(actions) <= set(ACTIONS)
    random.Random(seed).shuffle(actions)
    shuffled = iter(actions)
    return [
        replace(
            record,
            turns=tuple(
                replace(turn, action=next(shuffled)) if learn else turn
                for turn, learn in zip(record.turns, record.learn, strict=True)
            ),
        )
        for record in records
    ]
