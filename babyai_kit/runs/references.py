"""Reference policies to compare a run with: minigrid's expert, and actions drawn at random.

Their rows look like those of a run, under the variants `expert` and `random`, and may be joined to them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import pandas as pd

from babyai_kit.environment import ACTIONS, TASKS, expert_actions, make_env, shortest_length
from babyai_kit.errors import UnsupportedLevelError
from babyai_kit.runs.episode_table import to_frame
from babyai_kit.runs.records import EpisodeRecord

EXPERT, RANDOM = "expert", "random"
MODELS = {EXPERT: "minigrid's BabyAIBot", RANDOM: "uniform over the six actions"}


def reference_episodes(
    seeds: Iterable[int], tasks: Iterable[str] = TASKS, *, num_dists: int = 0, run: str = "references"
) -> pd.DataFrame:
    """An `episodes` table of the expert and of random actions on these seeds; tokens and cost are missing.

    `tasks` may be levels of minigrid, whose shortest lengths are not known. The expert cannot carry out every
    one: an episode in which it gave up is a failure after the steps that it took, and `error` says why.
    """
    tasks = list(tasks)
    return to_frame(
        _play(variant, task, seed, num_dists, run)
        for variant in (EXPERT, RANDOM)
        for seed in seeds
        for task in tasks
    )


def _play(variant: str, task: str, seed: int, num_dists: int, run: str) -> EpisodeRecord:
    env = make_env(task, num_dists=num_dists)
    env.reset(seed=seed)
    level: Any = env.unwrapped
    shortest: int | None = None
    with suppress(UnsupportedLevelError):
        shortest = shortest_length(env)
    reward, gave_up = 0.0, None
    try:
        for action in _actions(variant, env, f"{task} {seed}"):
            reward += float(env.step(action)[1])
    except UnsupportedLevelError as error:
        gave_up = str(error)
    return EpisodeRecord(
        run=run,
        variant=variant,
        model=MODELS[variant],
        task=task,
        num_dists=num_dists,
        seed=seed,
        repeat=0,
        history_length=0,
        variant_digest="",
        episode_id="",
        status="ok",
        error=gave_up,
        success=reward > 0,
        episode_return=reward,
        episode_length=level.step_count,
        max_steps=level.max_steps,
        shortest_length=shortest,
        invalid_actions=0,
        input_tokens=None,
        output_tokens=None,
        cost_usd=math.nan,
        wall_s=0.0,
    )


def _actions(variant: str, env: Any, name: str) -> Iterator[int]:
    if variant == EXPERT:
        yield from expert_actions(env)
        return
    dice = random.Random(name)
    while env.unwrapped.running:
        yield dice.randrange(len(ACTIONS))
