"""Every recorded episode of BALROG replays without a difference."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from babyai_kit.environment import ACTIONS, make_env
from tests.support.goldens import EPISODES, picture_hash, records

COUNTS = {
    "public_nd0": 200,
    "public_nd8": 50,
    "public_interact_nd0": 100,
    "public_interact_nd8": 50,
    "public_scripted": 123,
}


def start(env: Any, observation: dict[str, str]) -> dict[str, Any]:
    """What the recordings have of the moment after a reset."""
    return {
        **observation,
        "direction": env.agent_dir,
        "max_steps": env.max_steps,
        "image_sha256": picture_hash(env.agent_view()),
    }


@pytest.mark.parametrize("name", EPISODES)
def test_episodes(name: str) -> None:
    count = 0
    for golden in records(name):
        env = make_env(golden["task"], num_dists=golden["num_dists"])
        observation, info = env.reset(seed=golden["seed"])
        assert info == {"progression": 0.0}
        first = start(env, observation)
        assert first == {key: golden[key] for key in first}
        for action, *recorded in golden["steps"]:
            observation, reward, terminated, truncated, info = env.step(ACTIONS.index(action))
            assert [observation["text"], reward, terminated, truncated] == recorded
            assert type(reward) is type(recorded[1])
            assert observation["mission"] == golden["mission"]
        assert picture_hash(env.agent_view()) == golden["final_image_sha256"]
        assert info == {"progression": golden["progression"]}
        count += 1
    assert count == COUNTS[name]


def test_resets_without_a_seed_go_on() -> None:
    for golden in records("public_resets"):
        env = make_env(golden["task"], num_dists=golden["num_dists"])
        for index, recorded in enumerate(golden["resets"]):
            observation, _ = env.reset(seed=golden["seed"] if index == 0 else None)
            assert start(env, observation) == recorded


def test_digests_of_starts() -> None:
    for golden in records("public_digests"):
        env = make_env(golden["task"], num_dists=golden["num_dists"])
        for seed, digest in enumerate(golden["digests"], start=golden["seed_lo"]):
            observation, _ = env.reset(seed=seed)
            start_text = f"{observation['mission']}\n{env.agent_dir}\n{observation['text']}"
            assert hashlib.sha256(start_text.encode()).hexdigest()[:16] == digest, (golden["task"], seed)
