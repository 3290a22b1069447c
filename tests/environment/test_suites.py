"""The named suites: that they can be played, and how one is chosen."""

from __future__ import annotations

import pytest

from babyai_kit.environment import SUITES, TASKS, expert_actions, make_env
from babyai_kit.environment.suites import find_suite, tasks_and_distractors
from babyai_kit.errors import InputError, UnsupportedLevelError


def test_the_suites() -> None:
    assert list(SUITES) == ["balrog", "distractors", "rooms", "long"]
    assert (SUITES["balrog"].tasks, SUITES["balrog"].num_dists) == (TASKS, 0)
    assert (SUITES["distractors"].tasks, SUITES["distractors"].num_dists) == (TASKS, 8)
    assert SUITES["rooms"].tasks[-1] == "BabyAI-BossLevel-v0"
    assert {"pick_up_seq_go_to", "BabyAI-GoToSeq-v0", "BabyAI-SynthSeq-v0"} <= set(SUITES["long"].tasks)
    for name, suite in SUITES.items():
        assert suite.name == name
        assert len(set(suite.tasks)) == len(suite.tasks)
        assert suite.sentence.endswith(".")


@pytest.mark.parametrize("name", SUITES)
def test_the_expert_carries_out_every_task(name: str) -> None:
    suite = SUITES[name]
    for task in suite.tasks:
        for seed in range(4):
            env = make_env(task, num_dists=suite.num_dists)
            env.reset(seed=seed)
            reward = 0.0
            for action in expert_actions(env):
                reward = env.step(action)[1]
            assert reward > 0, (task, seed)


def test_levels_of_rooms_have_several_rooms() -> None:
    for task in SUITES["rooms"].tasks:
        level = make_env(task).unwrapped
        assert level.num_rows * level.num_cols > 1, task


def test_the_expert_does_not_replan_in_circles_for_ever() -> None:
    env = make_env("BabyAI-UnlockToUnlock-v0")
    env.reset(seed=1001)
    with pytest.raises(UnsupportedLevelError, match="replans in circles"):
        list(map(env.step, expert_actions(env)))


def test_what_is_not_given_is_the_suite_s() -> None:
    assert tasks_and_distractors() == (TASKS, 0)
    assert tasks_and_distractors(num_dists=3) == (TASKS, 3)
    assert tasks_and_distractors(tasks=["goto"]) == (["goto"], 0)
    assert tasks_and_distractors("distractors") == (TASKS, 8)
    assert tasks_and_distractors("rooms") == (SUITES["rooms"].tasks, 0)
    assert tasks_and_distractors("distractors", iter(TASKS), 8) == (TASKS, 8)
    assert find_suite("distractors").filled(["goto"]) == (["goto"], 8)
    assert find_suite("distractors").filled(num_dists=2) == (TASKS, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"suite": "boss"}, "unknown suite 'boss'"),
        ({"suite": "room"}, "did you mean 'rooms'"),
        ({"suite": ["rooms"]}, "unknown suite"),
        ({"suite": "rooms", "tasks": ["goto"]}, "give suite or tasks"),
        ({"suite": "rooms", "tasks": "goto"}, "give suite or tasks"),
        ({"suite": "rooms", "tasks": []}, "give suite or tasks"),
        ({"suite": "distractors", "num_dists": 0}, "has num_dists 8"),
        ({"suite": "balrog", "num_dists": 8}, "has num_dists 0"),
    ],
)
def test_other_tasks_beside_a_suite_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tasks_and_distractors(**given)  # type: ignore[arg-type]
