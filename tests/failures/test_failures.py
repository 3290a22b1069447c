"""How episodes failed: each class on an episode made for it, and the counts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from babyai_kit import load_episodes, load_failures
from babyai_kit.environment import ACTIONS, TASKS, make_env, shortest_length
from babyai_kit.errors import UnsupportedLevelError
from babyai_kit.failures import CLASSES, COLUMNS, Facts, classify, failure_shares, failure_table
from babyai_kit.runs.run import Run
from babyai_kit.stats import estimates
from tests.support.episode_tables import ERROR, MISSING, block
from tests.support.journals import (
    SLOW,
    Episode,
    Policy,
    Reply,
    expert,
    idle,
    play,
    seed_where,
    walk_to,
    wander,
    write_run,
)

PLAIN = Facts(
    steps=64, invalid_answers=0, repeated_steps=0, destroyed_goals=(), wrong_objects=(), stage="go to",
    goal="red key", goal_seen_steps=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "out_of_steps"),
        ({"goal_seen_steps": 1}, "goal_not_acted_on"),
        ({"repeated_steps": 31, "goal_seen_steps": 9}, "goal_not_acted_on"),
        ({"repeated_steps": 32, "goal_seen_steps": 9}, "loop"),
        ({"wrong_objects": ("red key",), "repeated_steps": 64}, "wrong_object"),
        ({"destroyed_goals": ("red box",), "wrong_objects": ("red key",)}, "goal_destroyed"),
        ({"invalid_answers": 15, "destroyed_goals": ("red box",)}, "goal_destroyed"),
        ({"invalid_answers": 16, "destroyed_goals": ("red box",)}, "invalid_answers"),
    ],
)
def test_the_first_class_that_fits_counts(changed: dict[str, Any], expected: str) -> None:
    assert classify(replace(PLAIN, **changed)) == expected


def test_every_class_says_what_it_is() -> None:
    assert all(condition.__doc__ and condition.__doc__.endswith(".") for condition in CLASSES.values())
    assert CLASSES["out_of_steps"](PLAIN)


def failed(tmp_path: Path, *episodes: Episode) -> pd.DataFrame:
    write_run(tmp_path, episodes)
    return load_failures("r", results=tmp_path)


def only(tmp_path: Path, policy: Policy | list[Any], **where: Any) -> dict[str, Any]:
    """The row of one failed episode."""
    table = failed(tmp_path, play(policy, **where))
    assert len(table) == 1
    assert list(table.columns) == COLUMNS
    return dict(table.iloc[0])


def test_turning_on_the_spot_is_a_loop(tmp_path: Path) -> None:
    seed = seed_where("pickup", lambda env: env.objects[0].type == "key")
    row = only(tmp_path, idle, task="pickup", seed=seed)
    assert row["failure"] == "loop"
    assert row["repeated_steps"] == 64 - 4
    assert row["steps"] == 64
    assert row["stage"] == "pick up"
    assert row["is_loop"]
    assert row["is_goal_not_acted_on"] == (row["goal_seen_steps"] > 0)


def test_going_to_and_fro_is_a_loop_though_the_last_action_differs(tmp_path: Path) -> None:
    row = only(tmp_path, ["turn left", "turn right"] * 32, task="pickup", seed=3)
    assert (row["failure"], row["repeated_steps"]) == ("loop", 62)


@pytest.mark.parametrize(("share", "expected"), [(16, "invalid_answers"), (15, "loop")])
def test_a_quarter_of_invalid_answers_is_the_class(tmp_path: Path, share: int, expected: str) -> None:
    answers = [Reply(raw="I would turn left.")] * share + ["turn left"] * (64 - share)
    row = only(tmp_path, answers, task="pickup", seed=3)
    assert (row["failure"], row["invalid_answers"]) == (expected, share)


def test_what_is_seen_and_left_alone(tmp_path: Path) -> None:
    seed = seed_where("pickup", lambda env: env.objects[0].type == "ball")
    row = only(tmp_path, wander(), task="pickup", seed=seed)
    assert row["failure"] == "goal_not_acted_on"
    assert row["goal_seen_steps"] > 0
    assert row["repeated_steps"] < 32
    assert row["goal"].endswith("ball")


def test_what_is_never_seen(tmp_path: Path) -> None:
    def hidden(env: Any) -> bool:
        return not any(env.objects[0].type in line for line in env.gen_obs()["text"].split("\n"))

    seed = seed_where("pickup", hidden)
    kind = load_goal("pickup", seed)
    row = only(tmp_path, wander(kind), task="pickup", seed=seed)
    assert (row["failure"], row["goal"], row["goal_seen_steps"]) == ("out_of_steps", kind, 0)
    assert not any(row[c] for c in COLUMNS if c.startswith("is_"))


def load_goal(task: str, seed: int) -> str:
    env = make_env(task)
    env.reset(seed=seed)
    return f"{env.objects[0].color} {env.objects[0].type}"


def test_a_box_of_the_mission_that_is_opened_is_gone(tmp_path: Path) -> None:
    seed = seed_where("pickup", lambda env: env.objects[0].type == "box")
    goal = load_goal("pickup", seed)

    def policy(env: Any, mission: str) -> Iterator[str]:
        yield from walk_to(env, goal)
        yield "toggle"

    row = only(tmp_path, policy, task="pickup", seed=seed)
    assert (row["failure"], row["destroyed_goals"], row["wrong_objects"]) == ("goal_destroyed", goal, "")


@pytest.mark.parametrize("task", ["pickup", "putnext"])
def test_boxes_of_the_mission_are_gone_exactly_where_no_way_is_left(tmp_path: Path, task: str) -> None:
    """The search for the shortest way is the oracle; random agents destroy boxes now and then."""
    rng, often = np.random.default_rng(2), [0.15, 0.15, 0.4, 0.02, 0.03, 0.25]
    episodes = [play(rng.choice(ACTIONS, 128, p=often).tolist(), task=task, seed=s) for s in range(40)]
    table = failed(tmp_path, *episodes).set_index("episode_id")
    assert 1 < table["is_goal_destroyed"].sum() < len(table)
    for trajectory in Run.open("r", results=tmp_path).trajectories():
        if trajectory.outcome != "failure":
            continue
        *_, (env, _) = itertools.islice(trajectory.states(), len(trajectory.steps))  # before the last step
        try:
            hopeless = shortest_length(env) == 0
        except UnsupportedLevelError:
            hopeless = True
        if trajectory.steps[-1].action != "toggle":  # which may have destroyed one more
            assert hopeless == table.loc[trajectory.episode_id, "is_goal_destroyed"]


def apart(env: Any) -> bool:
    """The two objects of `putnext`: neither a box, in different rows and columns, so that ways are free."""
    (ax, ay), (bx, by) = (obj.cur_pos for obj in env.objects)
    return all(obj.type != "box" for obj in env.objects) and ax != bx and ay != by


def fixed_of(env: Any) -> str:
    return f"{env.instrs.desc_fixed.color} {env.instrs.desc_fixed.type}"


def moved_of(env: Any) -> str:
    return f"{env.instrs.desc_move.color} {env.instrs.desc_move.type}"


def test_picking_up_the_other_object_of_putnext_is_wrong(tmp_path: Path) -> None:
    names = []

    def policy(env: Any, mission: str) -> Iterator[str]:
        names.append(fixed_of(env))
        yield from walk_to(env, fixed_of(env))
        yield "pick up"

    row = only(tmp_path, policy, task="putnext", seed=seed_where("putnext", apart))
    assert row["failure"] == "wrong_object"
    assert [row["wrong_objects"]] == names
    assert row["stage"] == "pick up"


def test_what_was_carried_and_put_down_elsewhere_is_not_wrong(tmp_path: Path) -> None:
    """The mission's stage follows: in hand it is `put next to`, put down again `pick up`."""

    def policy(env: Any, mission: str) -> Iterator[str]:
        yield from walk_to(env, moved_of(env))
        yield "pick up"

    seed = seed_where("putnext", apart)
    row = only(tmp_path / "held", policy, task="putnext", seed=seed)
    assert (row["stage"], row["wrong_objects"]) == ("put next to", "")

    def put_down(env: Any, mission: str) -> Iterator[str]:
        yield from policy(env, mission)
        yield "turn left"
        yield "drop"

    row = only(tmp_path / "down", put_down, task="putnext", seed=seed)
    assert (row["stage"], row["wrong_objects"]) == ("pick up", "")


def test_the_key_of_a_locked_door_may_be_taken(tmp_path: Path) -> None:
    def policy(env: Any, mission: str) -> Iterator[str]:
        yield from walk_to(env, f"{env.objects[1].color} key")
        yield "pick up"

    without = only(tmp_path / "a", idle, task="open", seed=4)
    assert without["stage"] == "get the key for"
    row = only(tmp_path / "b", policy, task="open", seed=4)
    assert (row["stage"], row["wrong_objects"]) == ("open", "")
    assert row["goal"].endswith("door")


def test_a_sequence_asks_for_its_second_part_once_the_first_is_done(tmp_path: Path) -> None:
    def first_of(env: Any) -> Any:
        parts = (env.instrs.instr_a, env.instrs.instr_b)
        return next(p.desc for p in parts if type(p).__name__ == "PickUp")

    def policy(env: Any, mission: str) -> Iterator[str]:
        yield from walk_to(env, f"{first_of(env).color} {first_of(env).type}")
        yield "pick up"

    seed = seed_where("pick_up_seq_go_to", apart)
    assert only(tmp_path / "a", idle, task="pick_up_seq_go_to", seed=seed)["stage"] == "pick up"
    assert only(tmp_path / "b", policy, task="pick_up_seq_go_to", seed=seed)["stage"] == "go to"


def test_a_blocker_that_is_carried_away_counts_as_wrong(tmp_path: Path) -> None:
    def two(env: Any) -> bool:
        names = [f"{o.color} {o.type}" for o in env.objects]
        return len(set(names)) == 2 and apart(env)

    def policy(env: Any, mission: str) -> Iterator[str]:
        goal = env.instrs.desc
        other = next(o for o in env.objects if (o.color, o.type) != (goal.color, goal.type))
        yield from walk_to(env, f"{other.color} {other.type}")
        yield "pick up"

    row = only(tmp_path, policy, task="goto", seed=seed_where("goto", two, 1), num_dists=1)
    assert row["is_wrong_object"]


@pytest.mark.parametrize(
    "level", ["BabyAI-GoToSeqS5R2-v0", "BabyAI-BossLevel-v0", "BabyAI-UnlockToUnlock-v0"]
)
def test_other_levels_are_analysed_too(tmp_path: Path, level: str) -> None:
    actions = [ACTIONS[i] for i in np.random.default_rng(0).integers(0, 6, 2000)]
    row = only(tmp_path, actions, task=level, seed=0)
    assert row["failure"] in CLASSES
    assert row["stage"]
    assert row["goal"]


def test_successes_errors_and_unfinished_episodes_are_no_failures(tmp_path: Path) -> None:
    episodes = [
        play(expert, seed=1),
        play(["turn left"] * 3, seed=2, error=SLOW),
        play(idle, seed=3, stop_after=5),
        play(idle, seed=4, task="pickup"),
    ]
    table = failed(tmp_path, *episodes)
    assert table["seed"].tolist() == [4]
    counts = failure_table(load_episodes("r", results=tmp_path), table)
    assert counts.set_index("task")[["n_episodes", "n_failed", "loop"]].to_dict("index") == {
        "goto": {"n_episodes": 1, "n_failed": 0, "loop": 0},
        "pickup": {"n_episodes": 1, "n_failed": 1, "loop": 1},
    }
    assert failed(tmp_path / "none", play(expert, seed=1)).empty


@pytest.mark.parametrize("by", [["variant"], ["variant", "task"]])
def test_shares_and_success_sum_to_one_whatever_broke_or_is_missing(by: list[str]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(4):
        outcomes = rng.choice([1.0, 0.0, ERROR, MISSING], p=[0.5, 0.3, 0.1, 0.1], size=(6, 5))
        repeats = [block(outcomes, repeat=0), block(rng.permutation(outcomes), repeat=1)]
        episodes = pd.concat(repeats, ignore_index=True)
        episodes["episode_id"] = [f"e{i}" for i in range(len(episodes))]
        lost = episodes[(episodes["status"] == "ok") & (episodes["success"] == False)]  # noqa: E712
        names = rng.choice(list(CLASSES), len(lost))
        failures = pd.DataFrame({"episode_id": lost["episode_id"].to_numpy(), "failure": names})
        shares = failure_shares(episodes, failures, by)
        success = estimates(episodes, "success", by)["value"]
        assert len(shares) == len(success)
        total = shares[list(CLASSES)].sum(axis=1, skipna=False) + success
        assert total.dropna().to_numpy() == pytest.approx(1.0)
        assert (total.isna() == success.isna()).all()
        counts = failure_table(episodes, failures)
        assert counts["n_failed"].sum() == len(lost)
        assert (counts[list(CLASSES)].sum(axis=1) == counts["n_failed"]).all()
        assert set(counts["task"]) <= set(TASKS)


def test_what_blocks_the_only_way_may_be_carried_away(tmp_path: Path) -> None:
    """In `BlockedUnlockPickup` a ball lies before the locked door."""
    level, seed = "BabyAI-BlockedUnlockPickup-v0", 1000

    def policy(env: Any, mission: str) -> Iterator[str]:
        for action in expert(env, mission):
            laid_down = action == "drop" and env.carrying.type == "ball"
            yield action
            if laid_down:
                return

    def again(env: Any, mission: str) -> Iterator[str]:
        yield from policy(env, mission)
        yield "pick up"

    row = only(tmp_path / "once", policy, task=level, seed=seed)
    assert (row["wrong_objects"], row["stage"]) == ("", "pick up")
    # Now that it is out of the way, there is no reason to touch it.
    row = only(tmp_path / "twice", again, task=level, seed=seed)
    assert row["failure"] == "wrong_object"
    assert row["wrong_objects"].endswith("ball")
