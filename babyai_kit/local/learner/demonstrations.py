"""Demonstrations: the expert's episodes, with some of its actions replaced by random ones."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator

from babyai_kit.environment import ACTIONS, TASKS, expert_actions, make_env
from babyai_kit.errors import UnsupportedLevelError
from babyai_kit.local.learner.tokenizer import Turn
from babyai_kit.local.learner.windows import Record

BASE_SEEDS = 10_000
"""First seed of the block that demonstrations come from; no experiment uses it."""


def demonstrate(seeds: Iterable[int], noise: float, tasks: Iterable[str] = TASKS) -> Iterator[Record]:
    """An episode per seed and task; each action is random with probability `noise`.

    The episode ends where the expert gives up (after a box was opened).
    """
    for seed in seeds:
        for task in tasks:
            env = make_env(task)
            observation, _ = env.reset(seed=seed)
            mission, rng = observation["mission"], random.Random(f"{task} {seed}")
            turns = []
            with contextlib.suppress(UnsupportedLevelError):
                for expert_action in expert_actions(env):
                    action = rng.randrange(len(ACTIONS)) if rng.random() < noise else expert_action
                    turns.append(Turn(observation["text"], ACTIONS[action]))
                    observation, *_ = env.step(action)
            yield Record(mission, tuple(turns), (True,) * len(turns))
