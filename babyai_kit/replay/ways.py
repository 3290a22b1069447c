"""A way to success: the shortest where the search for it is exact, else the expert's."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from itertools import islice
from typing import Any

from babyai_kit.environment import ACTIONS, expert_actions, shortest_path
from babyai_kit.environment.playback import Playback
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import InputError, UnsupportedLevelError
from babyai_kit.runs.trajectories import Trajectory

Way = dict[str, Any]
"""JSON: {kind, actions, cells}. `kind`: "shortest", or "expert" for minigrid's bot, which knows only what an
agent has seen, so that its way may be longer; `actions`: names; `cells`: the agent's [x, y] before the first
action and after each."""


def shortest_way(trajectory: Trajectory) -> Way | None:
    """A way from the start of the episode; None where none is found. Costs some milliseconds with the five
    tasks, up to seconds with the expert in levels of many rooms; once for each level."""
    key = trajectory.key
    return copy.deepcopy(_from_start(key.task, key.num_dists, key.seed))


def way_from(trajectory: Trajectory, step: int) -> Way | None:
    """A way from the state before `step` (from 0; their number: from the end); None where success has become
    impossible, the episode is over, or none is found. Costs a replay up to there more than `shortest_way`.

    Raises InputError for a step that the episode does not have, JournalError where it does not replay.
    """
    if not 0 <= step <= len(trajectory.steps):
        raise InputError(
            f"the episode has no step {step}; choose one from 0 to {len(trajectory.steps)}, its end"
        )
    with closing(trajectory.states()) as states:
        env, _ = next(islice(states, step, None))
        return _way(env)


@lru_cache(maxsize=4096)
def _from_start(task: str, num_dists: int, seed: int) -> Way | None:
    with closing(Playback(task, num_dists=num_dists, seed=seed).env) as env:
        return _way(env)


def _way(env: TextEnv) -> Way | None:
    """From the present state on, which it leaves behind."""
    if not env.running:
        return None
    kind, plan = "shortest", _shortest(env)
    if plan is None:
        kind, plan = "expert", expert_actions(env)
    actions: list[str] = []
    cells = [[*env.agent_pos]]
    reward = 0.0
    try:
        for number in plan:
            reward = float(env.step(number)[1])
            actions.append(ACTIONS[number])
            cells.append([*env.agent_pos])
    except UnsupportedLevelError:
        return None
    return {"kind": kind, "actions": actions, "cells": cells} if reward > 0 else None


def _shortest(env: TextEnv) -> Iterator[int] | None:
    try:
        return iter(shortest_path(env))
    except UnsupportedLevelError:
        return None
