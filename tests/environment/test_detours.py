"""Which steps a success needed: found by replay, so tested by replay."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from babyai_kit import ACTIONS, TASKS, make_env
from babyai_kit.environment import expert_actions, needed_steps


def outcome(task: str, seed: int, actions: Sequence[str]) -> float:
    """The return of an episode of these actions."""
    env = make_env(task)
    env.reset(seed=seed)
    rewards = [env.step(ACTIONS.index(action))[1] for action in actions]
    assert not env.unwrapped.running or not rewards[-1]
    return float(sum(rewards))


def expert(task: str, seed: int) -> list[str]:
    env = make_env(task)
    env.reset(seed=seed)
    return [ACTIONS[action] for action in expert_actions(env) if env.step(action)]


@pytest.mark.parametrize("task", TASKS)
def test_a_way_there_and_back_is_not_needed(task: str):
    straight = expert(task, 4)
    detour = ["turn left", "turn right", *["turn left"] * 4]
    needed = needed_steps(task, 4, [*detour, *straight])
    assert needed[: len(detour)] == (False,) * len(detour)
    assert needed[len(detour) :] == needed_steps(task, 4, straight)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_left_of_a_clumsy_success_succeeds_sooner(task: str):
    shortened = 0
    for seed in range(12):
        env, dice, actions = make_env(task), random.Random(seed), []
        env.reset(seed=seed)
        for action in expert_actions(env):
            clumsy = dice.randrange(3) if dice.random() < 0.4 else action
            actions.append(ACTIONS[clumsy])
            env.step(clumsy)
        before = outcome(task, seed, actions)
        needed = needed_steps(task, seed, actions)
        left = [action for action, need in zip(actions, needed, strict=True) if need]
        assert outcome(task, seed, left) >= before
        shortened += len(left) < len(actions)
    assert shortened > 3


def test_an_object_laid_back_is_no_detour_where_the_mission_asks_for_it():
    task = "pick_up_seq_go_to"
    laid_back = 0
    for seed in range(60):
        actions = expert(task, seed)
        for step, pair in enumerate(itertools.pairwise(actions)):
            if pair == ("pick up", "drop"):
                laid_back += 1
                assert needed_steps(task, seed, actions)[step : step + 2] == (True, True)
    assert laid_back


def test_a_failure_and_an_unfinished_episode_need_all_their_steps():
    assert needed_steps("goto", 0, ["turn left", "turn right", "turn left"]) == (True,) * 3
    assert needed_steps("goto", 0, ["drop"] * 64) == (True,) * 64
    assert needed_steps("goto", 0, []) == ()
