"""The environment keeps Gymnasium's contract and ours: spaces, order, bad input, silence, copies."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from babyai_kit.environment import ACTIONS, MAX_STEPS, REGISTERED, TASKS, make_env
from babyai_kit.environment.registration import register
from babyai_kit.errors import (
    InputError,
    InvalidActionError,
    InvalidSeedError,
    StepOrderError,
    UnknownTaskError,
)


def rollout(env: Any, seed: int | None, actions: list[int]) -> list[Any]:
    results: list[Any] = [env.reset(seed=seed)]
    for action in actions:
        results.append(env.step(action))
        if results[-1][2] or results[-1][3]:
            break
    return results


def some_actions(seed: int, count: int = 60) -> list[int]:
    return random.Random(seed).choices(range(len(ACTIONS)), k=count)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_dists", [0, 8])
def test_check_env(task: str, num_dists: int) -> None:
    env = gymnasium.make(f"BabyAIText/{task}-v0", num_dists=num_dists, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
        warnings.filterwarnings("ignore", message=".*not having a spec.*")
        check_env(make_env(task, num_dists=num_dists))


def test_ids_are_registered_once_and_make_the_same() -> None:
    register()
    assert tuple(f"BabyAIText/{task}-v0" for task in TASKS) == REGISTERED
    for task, name in zip(TASKS, REGISTERED, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gymnasium.make(name)
            assert rollout(env, 4, some_actions(4)) == rollout(make_env(task), 4, some_actions(4))


def test_vector_environment() -> None:
    envs = gymnasium.make_vec("BabyAIText/goto-v0", num_envs=2, vectorization_mode="sync")
    observation, _ = envs.reset(seed=7)
    assert observation["mission"][0] == make_env("goto").reset(seed=7)[0]["mission"]
    for _ in range(80):
        envs.step(envs.action_space.sample())


@pytest.mark.parametrize("task", TASKS)
def test_constants(task: str) -> None:
    env = make_env(task)
    assert env.unwrapped is env
    assert env.max_steps == MAX_STEPS[task] == (64 if task in ("goto", "pickup") else 128)
    observation, _ = env.reset(seed=0)
    assert list(observation) == ["mission", "text"]
    assert env.observation_space.contains(observation)
    assert env.observation_space.contains({"mission": "", "text": ""})
    assert env.action_space == gymnasium.spaces.Discrete(6)


def test_numpy_actions_are_actions() -> None:
    plain, other = make_env("putnext"), make_env("putnext")
    plain.reset(seed=1)
    other.reset(seed=1)
    for action, kind in zip(some_actions(1, 40), [np.int64, np.uint8, np.array, np.int32] * 10, strict=True):
        assert plain.step(action) == other.step(kind(action))


@pytest.mark.parametrize(
    "action", [-1, 6, 2.0, "go forward", None, True, np.True_, np.array([1]), np.float64(1), [1], "a\nb"]
)
def test_wrong_actions_cost_nothing(action: Any) -> None:
    env = make_env("goto")
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="5 toggle") as caught:
        env.step(action)
    assert "\n" not in str(caught.value)
    assert env.step_count == 0


@pytest.mark.parametrize("seed", [-1, 1.0, "7", True, np.int64(3)])
def test_wrong_seeds(seed: Any) -> None:
    env = make_env("goto")
    env.reset(seed=3)
    with pytest.raises(InvalidSeedError, match="int >= 0"):
        env.reset(seed=seed)
    with pytest.raises(gymnasium.error.Error):
        env.reset(seed=seed)
    env.step(2)


def test_large_seeds_and_none() -> None:
    env = make_env("goto")
    assert env.reset(seed=2**80) == env.reset(seed=2**80)
    assert make_env("goto").reset()[1] == {"progression": 0.0}


@pytest.mark.parametrize(
    "task", ["goTo", "", "BabyAI-NoSuch-v0", "MiniGrid-Empty-5x5-v0", "BabyAIText/goto-v0", None, 3, ["goto"]]
)
def test_unknown_tasks(task: Any) -> None:
    with pytest.raises(UnknownTaskError, match="pick_up_seq_go_to"):
        make_env(task)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"task": "goto", "num_dists": -1}, "0 to 16"),
        ({"task": "goto", "num_dists": 17}, "0 to 16"),
        ({"task": "goto", "num_dists": True}, "0 to 16"),
        ({"task": "goto", "num_dists": 1.0}, "0 to 16"),
        ({"task": "BabyAI-GoTo-v0", "num_dists": 3}, "num_dists with goto"),
        ({"task": "goto", "render_mode": "human"}, "rgb_array"),
        ({"task": "BabyAI-GoTo-v0", "render_mode": "ansi"}, "rgb_array"),
    ],
)
def test_wrong_settings(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_env(**arguments)


def test_order_of_calls() -> None:
    env = make_env("goto")
    for early in (lambda: env.step(0), env.agent_view):
        with pytest.raises(StepOrderError, match=r"reset\(seed=...\)"):
            early()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    while not any(env.step(0)[2:4]):
        pass
    with pytest.raises(StepOrderError, match=r"ended; call reset\(\)"):
        env.step(0)
    env.reset()
    env.step(0)


def test_pictures() -> None:
    env = make_env("open", render_mode="rgb_array")
    with pytest.raises(StepOrderError):
        env.render()
    env.reset(seed=0)
    whole, view = env.render(), env.agent_view()
    assert whole is not None
    assert (whole.dtype, whole.shape) == (np.uint8, (8 * 32, 15 * 32, 3))
    assert (view.dtype, view.shape) == (np.uint8, (112, 112, 3))
    assert env.agent_view(tile_size=8).shape == (56, 56, 3)
    with pytest.raises(InputError, match="tile_size"):
        env.agent_view(tile_size=0)
    plain = make_env("open")
    plain.reset(seed=0)
    assert plain.render() is None


@pytest.mark.parametrize("task", [*TASKS, "BabyAI-BossLevel-v0", "BabyAI-PutNextS5N2Carrying-v0"])
def test_copies_go_on_alike(task: str) -> None:
    for seed in range(4):
        env = make_env(task)
        env.reset(seed=seed)
        for action in some_actions(seed, 6):
            if any(env.step(action)[2:4]):
                env.reset()
        copies = [pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
        before = env.gen_obs()
        later = [env.step(a) for a in [0, 2, 3] if env.running], env.reset()
        for other in copies:
            assert other.gen_obs() == before
            assert ([other.step(a) for a in [0, 2, 3] if other.running], other.reset()) == later
        assert pickle.loads(pickle.dumps(make_env(task))).reset(seed=5) == make_env(task).reset(seed=5)


@pytest.mark.parametrize("task", [*TASKS, "BabyAI-BossLevel-v0", "BabyAI-PutNextLocalS5N3-v0"])
def test_silent_and_apart_from_global_randomness(task: str, capfd: pytest.CaptureFixture[str]) -> None:
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes()  # type: ignore[index,union-attr]
    env = make_env(task, render_mode="rgb_array")
    actions = [1, 2, 3, 2, 4, 5, 0]
    for seed in range(20):
        rollout(env, seed, actions)
        env.agent_view()
    env.render()
    env.action_space.sample()
    env.observation_space.sample()
    after = random.getstate(), np.random.get_state()[1].tobytes()  # type: ignore[index,union-attr]
    assert before == after
    assert capfd.readouterr().out == ""


def test_importing_it_is_silent_and_draws_nothing() -> None:
    program = """
import random, numpy
before = random.getstate(), numpy.random.get_state()[1].tobytes()
import babyai_kit.environment
assert before == (random.getstate(), numpy.random.get_state()[1].tobytes())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b""


def test_done_actions_of_minigrid_do_not_reach_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    from minigrid.envs.babyai.core import verifier

    expected = [rollout(make_env(task), 9, some_actions(9, 128)) for task in TASKS]
    monkeypatch.setattr(verifier, "use_done_actions", "1")
    assert [rollout(make_env(task), 9, some_actions(9, 128)) for task in TASKS] == expected
