"""Where the examples of few_shot come from, and from where they may not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run
from babyai_kit.agents import Episode, find_agent
from babyai_kit.agents.demonstrations import Demonstration, expert_demonstrations
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError
from babyai_kit.runs.seed_blocks import TRAIN
from tests.support import journals
from tests.support.journals import Policy


def episode(**changed: Any) -> Episode:
    async def ask(*words: Any, **named: Any) -> Any:
        raise AssertionError

    given = {"ask": ask, "mission": "go", "task": "goto", "seed": 205, "num_dists": 0, "repeat": 0}
    return Episode(**{**given, "max_steps": 64, "history_length": 8, **changed})


def shown(place: str, **changed: Any) -> str:
    """The part of the system message with the examples."""
    made: Any = find_agent(place).make(episode(**changed))
    return made.form


def expert(count: int, *, task: str = "goto", num_dists: int = 0, first: int = 0) -> list[Demonstration]:
    source = expert_demonstrations(task, num_dists, first=first)
    return [next(source) for _ in range(count)]


@pytest.mark.parametrize("num_dists", [0, 4])
@pytest.mark.parametrize("task", ["goto", "putnext"])
def test_the_expert_succeeds_in_what_is_shown(task: str, num_dists: int) -> None:
    for example in expert(3, task=task, num_dists=num_dists, first=197):
        assert example.seed in TRAIN
        playback = Playback(task, seed=example.seed, num_dists=num_dists)
        assert example.mission == playback.mission
        for step in example.steps:
            assert step.observation == playback.observation
            playback.step(step.action)
        assert playback.reward > 0


def test_the_first_examples_of_its_task_are_shown_and_never_its_own_episode() -> None:
    first, second, third = map(str, expert(3))
    assert first in (text := shown("few_shot"))
    assert second in text
    assert third not in text
    assert "Example 2 of 2" in text
    own = shown("few_shot", seed=expert(1)[0].seed)
    assert (first in own, second in own, third in own) == (False, True, True)
    assert str(expert(1, task="pickup", num_dists=2)[0]) in shown("few_shot", task="pickup", num_dists=2)
    assert "Example 1 of 1" in shown("few_shot:examples=1:first=9")
    assert str(expert(1, first=9)[0]) in shown("few_shot:examples=1:first=9")


def test_beyond_the_end_of_the_block_come_its_first_seeds() -> None:
    assert [example.seed for example in expert(3, first=199)] == [199, 0, 1]
    assert str(expert(1)[0]) in shown("few_shot:examples=1:first=199", seed=199)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("few_shot:first=1000", "seeds 1000, 1001 are in the test block and cannot be used for examples"),
        ("few_shot:first=199", "seeds 200 are in the validation block"),
        ("few_shot:first=500", "in no block and cannot be used for examples"),
        ("few_shot:examples=0", "examples must be 1 to 20; got 0"),
        ("few_shot:examples=21", "examples must be 1 to 20; got 21"),
        ("few_shot:run=nothing", "no run 'nothing'"),
        ("few_shot:best=1", "unknown parameter of agent few_shot 'best'"),
    ],
)
def test_other_examples_are_refused_before_a_run(place: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        find_agent(place)


def after(turns: int) -> Policy:
    """The expert, after so many turns on the spot."""

    def play(env: Any, mission: str) -> Iterator[str]:
        yield from ["turn left"] * turns
        yield from journals.expert(env, mission)

    return play


def write(results: Path, name: str, policies: Mapping[int, Policy]) -> None:
    episodes = [journals.play(policy, task="goto", seed=seed, run=name) for seed, policy in policies.items()]
    journals.write_run(results, episodes, name=name)


def test_the_best_of_a_run_in_the_train_block_are_shown(tmp_path: Path) -> None:
    place = f"few_shot:examples=3:run=first:results={tmp_path}"
    policies = {3: after(8), 2: after(4), 4: journals.idle, 208: after(0)}
    write(tmp_path, "first", policies)
    spec = find_agent(place)
    text = shown(place)
    missions = {seed: Playback("goto", seed=seed).mission for seed in (2, 3)}
    assert text.index(f"success.\nMission: {missions[2]}") < text.index(f"success.\nMission: {missions[3]}")
    assert text.count("Mission: ") == 2  # neither the failure nor the episode outside the block
    best = {t.key.seed: t for t in Run.open("first", results=tmp_path).trajectories()}
    for seed, mission in missions.items():
        lines = [f"Observation:\n{s.observation}\nAction: {s.action}" for s in best[seed].steps]
        assert "\n\n".join([f"Mission: {mission}", *lines]) in text
    assert shown(place, seed=2).count("Mission: ") == 1
    with pytest.raises(InputError, match="finds no success of run 'first' on pickup with num_dists 0"):
        shown(place, task="pickup")
    shutil.rmtree(tmp_path / "first")
    write(tmp_path, "first", {**policies, 1: after(0)})
    better = find_agent(place)
    assert (better.name, better.digest != spec.digest) == (spec.name, True)
    assert shown(place).count("Mission: ") == 3


@pytest.mark.parametrize(
    ("policies", "told"),
    [
        ({208: after(0), 4: journals.idle}, r"its successes are of other seeds.*train block, 0 to 199"),
        ({4: journals.idle}, "it has no success"),
    ],
)
def test_a_run_without_a_success_in_the_train_block_is_refused(
    policies: Mapping[int, Policy], told: str, tmp_path: Path
) -> None:
    write(tmp_path, "r", policies)
    with pytest.raises(InputError, match=told):
        find_agent(f"few_shot:run=r:results={tmp_path}")
