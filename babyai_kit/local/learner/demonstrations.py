"""Demonstrations: the expert's way, with some of its actions replaced by random ones.

Knows environment and expert; no model.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from babyai_kit.environment import ACTIONS, TASKS, expert_actions, make_env
from babyai_kit.errors import UnsupportedLevelError
from babyai_kit.local.learner.tokenizer import Turn
from babyai_kit.local.learner.windows import Record

BASE_SEEDS = 10_000
"""First seed of the block that demonstrations come from; no experiment plays it."""


def demonstrate(seeds: Iterable[int], noise: float, tasks: Iterable[str] = TASKS) -> Iterator[Record]:
    """An episode per seed and task: each action is a random one with probability `noise`.

    Where the expert gives up (after a box was opened) the episode ends.
    """
    for seed in seeds:
        for task in tasks:
            env = make_env(task)
            seen, _ = env.reset(seed=seed)
            mission, dice = seen["mission"], random.Random(f"{task} {seed}")
            turns = []
            try:
                for expert in expert_actions(env):
                    action = dice.randrange(len(ACTIONS)) if dice.random() < noise else expert
                    turns.append(Turn(seen["text"], ACTIONS[action]))
                    seen, *_ = env.step(action)
            except UnsupportedLevelError:
                pass
            yield Record(mission, tuple(turns), (True,) * len(turns))
