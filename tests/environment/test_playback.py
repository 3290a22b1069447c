"""Recorded episodes are played again, checked, and continued."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from babyai_kit import ACTIONS, TASKS
from babyai_kit.environment import expert_actions
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import JournalError, StepOrderError


@dataclass(frozen=True)
class Step:
    observation: str
    action: str
    reward: float


def record(task: str, seed: int, num_dists: int = 0) -> list[Step]:
    playback = Playback(task, seed=seed, num_dists=num_dists)
    return [
        Step(playback.observation, ACTIONS[action], playback.step(ACTIONS[action]))
        for action in expert_actions(playback.env)
    ]


@pytest.mark.parametrize("task", TASKS)
def test_a_replayed_episode_goes_on_as_if_it_had_never_stopped(task: str) -> None:
    steps = record(task, 3, num_dists=2)
    for cut in range(len(steps)):
        playback = Playback(task, seed=3, num_dists=2)
        assert list(playback.replay(steps[:cut])) == steps[:cut]
        assert (playback.env.step_count, playback.done) == (cut, False)
        assert list(playback.replay(steps[cut:])) == steps[cut:]
        assert playback.done
        assert playback.reward == steps[-1].reward > 0
        assert {"mission": playback.mission, "text": playback.observation} == playback.env.gen_obs()


def test_a_step_is_yielded_before_it_is_executed() -> None:
    steps = record("goto", 1)
    playback = Playback("goto", seed=1)
    for number, step in enumerate(playback.replay(steps)):
        assert playback.env.step_count == number
        assert playback.observation == step.observation


@pytest.mark.parametrize(
    "change", [{"observation": "a hedge 1 step forward"}, {"reward": 0.5}, {"action": "drop"}]
)
def test_what_was_recorded_otherwise_does_not_replay(change: dict[str, object]) -> None:
    steps = record("open", 0)
    steps[2] = replace(steps[2], **change)  # type: ignore[arg-type]
    with pytest.raises(JournalError, match=r"step [23] of open, seed 0, does not replay: .*; install"):
        list(Playback("open", seed=0).replay(steps))


def test_nothing_follows_the_end() -> None:
    steps = record("goto", 1)
    playback = Playback("goto", seed=1)
    list(playback.replay(steps))
    with pytest.raises(JournalError, match=f"step {len(steps)} of goto"):
        list(playback.replay([replace(steps[0], observation=playback.observation)]))
    with pytest.raises(StepOrderError):
        playback.step("drop")
