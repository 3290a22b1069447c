"""The other BabyAI levels of minigrid, described in the same words."""

from __future__ import annotations

import random
from typing import Any

import gymnasium
import pytest
from minigrid.minigrid_env import MiniGridEnv

from babyai_kit.environment import levels
from babyai_kit.environment.levels import level_ids, make_level
from babyai_kit.environment.registration import make_env
from babyai_kit.errors import StepOrderError, UnknownTaskError
from tests.support.observation_reference import tell

CANNOT_BE_BUILT: dict[str, str] = {}
"""Id to reason, for both minigrid 3.1.0 and 3.2.0: every registered level can be built."""


def test_which_levels_can_be_built() -> None:
    def why_not(level_id: str) -> str | None:
        try:
            make_level(level_id).reset(seed=0)
        except UnknownTaskError as error:
            return str(error)
        return None

    failed = {level_id: reason for level_id in level_ids() if (reason := why_not(level_id))}
    assert failed == CANNOT_BE_BUILT
    assert len(level_ids()) == 96


@pytest.mark.parametrize("level_id", level_ids())
def test_text_is_what_minigrid_shows(level_id: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(level_id)
    env = make_env(level_id)
    for seed in range(2):
        observation, info = env.reset(seed=seed)
        assert env.max_steps > 0
        assert info == {"progression": 0.0}
        for _ in range(40):
            assert observation == {"mission": env.mission, "text": tell(env)}
            assert env.observation_space.contains(observation)
            if not env.running:
                with pytest.raises(StepOrderError):
                    env.step(0)
                break
            observation, reward, terminated, truncated, info = env.step(rng.choice([0, 1, 2, 2, 2, 3, 4, 5]))
            assert info["progression"] == float(reward > 0)
            assert env.running is not (terminated or truncated)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("level_id", ["BabyAI-GoToLocal-v0", "BabyAI-BossLevel-v0", "BabyAI-KeyInBox-v0"])
def test_same_game_as_stock(level_id: str) -> None:
    rng = random.Random(level_id)
    ours, stock = make_env(level_id), gymnasium.make(level_id).unwrapped
    assert isinstance(stock, MiniGridEnv)
    for seed in range(5):
        observation, _ = ours.reset(seed=seed)
        stock_observation, _ = stock.reset(seed=seed)
        for _ in range(60):
            assert observation["mission"] == stock_observation["mission"]
            assert ours.agent_dir == stock_observation["direction"]
            assert ours.grid == stock.grid
            assert ours.agent_pos == tuple(stock.agent_pos)
            if not ours.running:
                break
            action = rng.randrange(6)
            observation, *rest, _ = ours.step(action)
            stock_observation, *expected, _ = stock.step(action)
            assert rest == expected


def test_a_level_that_minigrid_cannot_build(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(levels.level_class("BabyAI-GoTo-v0")):  # type: ignore[misc]
        def __init__(self, **settings: Any) -> None:
            raise RuntimeError("no\nrooms")

    monkeypatch.setattr(levels, "level_class", lambda level_id: Broken)
    with pytest.raises(UnknownTaskError, match="RuntimeError: no rooms"):
        make_level("BabyAI-GoTo-v0")
