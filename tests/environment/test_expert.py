"""Minigrid's expert behind one function."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from babyai_kit.environment import TASKS, expert_actions, make_env, shortest_length
from babyai_kit.errors import StepOrderError, UnsupportedLevelError

KNOWN = {
    "goto": (0.931, 4.89),
    "pickup": (0.917, 5.89),
    "open": (0.906, 13.40),
    "putnext": (0.927, 10.38),
    "pick_up_seq_go_to": (0.919, 11.48),
}
"""Mean return and length of the expert on seeds 0 to 199; it always succeeds."""


@pytest.mark.parametrize("task", TASKS)
def test_known_figures(task: str) -> None:
    env = make_env(task)
    returns, lengths = [], []
    for seed in range(200):
        env.reset(seed=seed)
        shortest, reward = shortest_length(env), 0.0
        for action in expert_actions(env):
            reward = env.step(action)[1]
        assert env.step_count >= shortest
        returns.append(reward)
        lengths.append(env.step_count)
    assert all(value > 0 for value in returns)
    assert round(np.mean(returns), 3) == KNOWN[task][0]
    assert np.mean(lengths) == pytest.approx(KNOWN[task][1], abs=0.0051)


def test_it_takes_other_actions_into_account() -> None:
    rng = np.random.default_rng(0)
    for task in TASKS:
        env = make_env(task)
        for seed in range(10):
            env.reset(seed=seed)
            reward = 0.0
            for action in expert_actions(env):
                reward = env.step(rng.integers(3) if rng.random() < 0.2 else action)[1]
            assert reward > 0, (task, seed)


def test_it_leaves_the_environment_alone() -> None:
    env = make_env("putnext")
    env.reset(seed=0)
    stream, text = env.np_random.bit_generator.state, env.gen_obs()
    advice = expert_actions(env)
    assert next(advice) == next(advice)
    assert (env.step_count, env.np_random.bit_generator.state, env.gen_obs()) == (0, stream, text)


def test_wrapped_and_other_levels() -> None:
    for env in (gymnasium.make("BabyAIText/open-v0"), make_env("BabyAI-GoTo-v0")):
        env.reset(seed=1)
        for action in expert_actions(env):
            reward = env.step(action)[1]
        assert reward > 0


def test_errors() -> None:
    env = make_env("goto")
    with pytest.raises(StepOrderError, match="reset"):
        expert_actions(env)
    with pytest.raises(UnsupportedLevelError, match="make_env"):
        expert_actions(gymnasium.make("BabyAI-GoTo-v0"))
    env.reset(seed=0)
    advice = expert_actions(env)
    next(advice)
    env.step(0)
    env.step(1)
    with pytest.raises(StepOrderError, match="again"):
        next(advice)


def test_it_says_where_it_gives_up() -> None:
    env = make_env("BabyAI-KeyInBox-v0")
    env.reset(seed=0)

    def follow() -> None:
        for action in expert_actions(env):
            env.step(action)

    with pytest.raises(UnsupportedLevelError, match="gave up on BabyAI-KeyInBox-v0"):
        follow()
