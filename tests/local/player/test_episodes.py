"""The policy plays real episodes: clearly better than chance and not perfect, on every task."""

from __future__ import annotations

import json
import random

import pytest

from babyai_kit.environment import ACTIONS, make_env
from babyai_kit.local.player.chat_request import parse_request
from babyai_kit.local.player.policy_answer import policy_answer
from tests.support.messages import body

TASKS = ("goto", "pickup", "open", "putnext", "pick_up_seq_go_to")
SEEDS = range(40)


def succeeds(task: str, seed: int, history_length: int, temperature: float) -> bool:
    """One episode over the policy alone, prompts as the kit forms them."""
    env = make_env(task)
    observation, _ = env.reset(seed=seed)
    history: list[tuple[str, str]] = []
    terminated = truncated = False
    while not (terminated or truncated):
        past = history[-history_length:] if history_length else []
        request = body(
            observation["mission"],
            observation["text"],
            past,
            seed=1000 * seed + len(history),
            temperature=temperature,
        )
        action = json.loads(policy_answer(parse_request(json.dumps(request).encode())))["action"]
        history.append((observation["text"], action))
        observation, _, terminated, truncated, _ = env.step(ACTIONS.index(action))
    return bool(terminated)


def random_success(task: str, seed: int) -> bool:
    env = make_env(task)
    env.reset(seed=seed)
    rng, terminated, truncated = random.Random(seed), False, False
    while not (terminated or truncated):
        _, _, terminated, truncated, _ = env.step(rng.randrange(6))
    return bool(terminated)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("history_length", [0, 8])
def test_plays_with_moderate_success(task: str, history_length: int) -> None:
    rate = sum(succeeds(task, seed, history_length, 1.0) for seed in SEEDS) / len(SEEDS)
    chance = sum(random_success(task, seed) for seed in SEEDS) / len(SEEDS)
    assert max(0.4, chance + 0.1) <= rate <= 1.0, f"{rate:.2f} against {chance:.2f} by chance"


@pytest.mark.parametrize("task", TASKS)
def test_greedy_play_mostly_succeeds(task: str) -> None:
    assert sum(succeeds(task, seed, 8, 0.0) for seed in SEEDS) / len(SEEDS) >= 0.8


def test_episodes_repeat() -> None:
    assert [succeeds("goto", seed, 8, 1.0) for seed in range(10)] == [
        succeeds("goto", seed, 8, 1.0) for seed in range(10)
    ]
