"""Levels, play and success beside a second implementation that is made of minigrid's own parts.

The recorded episodes know num_dists 0 and 8 and short chains of resets; this covers the rest.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyai_kit.environment import TASKS, make_env
from tests.support.minigrid_reference import ByMinigrid
from tests.support.observation_reference import tell
from tests.support.policies import episodes, play


def assert_same_state(ours: Any, theirs: Any, observation: dict[str, str]) -> None:
    assert observation == {"mission": theirs.mission, "text": tell(theirs)}
    assert ours.grid == theirs.grid
    assert ours.agent_pos == tuple(theirs.agent_pos)
    assert ours.agent_dir == theirs.agent_dir
    assert ours.max_steps == theirs.max_steps
    assert ours.np_random.bit_generator.state == theirs.np_random.bit_generator.state


@settings(max_examples=120)
@given(episodes, st.integers(0, 2))
def test_episodes(episode: tuple[str, int, int, list[int]], later: int) -> None:
    """The first or a later episode of a seed, played to its end."""
    task, num_dists, seed, choices = episode
    ours, theirs = make_env(task, num_dists=num_dists), ByMinigrid(task, num_dists)
    theirs.reset(seed=seed)
    observation, _ = ours.reset(seed=seed)
    for _ in range(later):
        theirs.reset()
        observation, _ = ours.reset()
    assert_same_state(ours, theirs, observation)
    for action in play(ours, choices):
        observation, *rest, _ = ours.step(action)
        _, *expected, _ = theirs.step(action)
        assert rest == expected
        assert type(rest[0]) is type(expected[0])
        assert_same_state(ours, theirs, observation)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("num_dists", "seeds"), [(0, 100), (1, 50), (2, 50), (4, 50), (6, 50), (10, 20), (13, 2)]
)
def test_starts(task: str, num_dists: int, seeds: int) -> None:
    ours, theirs = make_env(task, num_dists=num_dists), ByMinigrid(task, num_dists)
    for seed in range(seeds):
        for reset_with in (seed, None):
            theirs.reset(seed=reset_with)
            assert_same_state(ours, theirs, ours.reset(seed=reset_with)[0])
