"""The hand-written policy on constructed views, without chance (temperature 0) unless stated."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from babyai_kit.environment import ACTIONS
from babyai_kit.local.player.policy import choose
from babyai_kit.local.player.prompt import parse_prompt
from tests.support.messages import messages


def greedy(mission: str, observation: str, *history: tuple[str, str]) -> str:
    prompt = parse_prompt(messages(mission, observation, history))
    return choose(prompt, random.Random(0), temperature=0).action


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        ("a red ball 2 steps forward", "go forward"),
        ("a red ball 1 step left and 2 steps forward", "go forward"),
        ("a red ball 2 steps left", "turn left"),
        ("a red ball 2 steps right", "turn right"),
        ("a wall 1 step forward\na red ball 2 steps left and 1 step forward", "turn left"),
        ("a blue box 1 step forward\na red ball 1 step right and 3 steps forward", "turn right"),
        ("a blue ball 2 steps left\na red ball 2 steps right", "turn right"),
        ("a wall 3 steps forward", "go forward"),  # nothing to see: look around
    ],
)
def test_walks_towards_the_target(observation: str, action: str) -> None:
    assert greedy("go to the red ball", observation) == action


@pytest.mark.parametrize(
    ("mission", "observation", "action"),
    [
        ("pick up the red ball", "a red ball 1 step forward", "pick up"),
        ("pick up the red ball", "You carry a blue key\na red ball 1 step forward", "turn left"),
        ("pick up the red ball", "You carry a blue key\na red ball 2 steps forward", "drop"),
        ("open the door", "You carry a red key\na locked red door 1 step forward", "toggle"),
        ("open the door", "a locked red door 1 step forward\na red key 1 step left", "turn left"),
        ("open the door", "a closed red door 1 step forward", "toggle"),
        ("open the red door", "a red key 1 step forward", "pick up"),
        ("open the door", "You carry a red key\na locked red door 2 steps forward", "go forward"),
        ("put the red ball next to the blue key", "a red ball 1 step forward", "pick up"),
        ("put the red ball next to the blue key", "You carry a red ball\na blue key 2 steps forward", "drop"),
        (
            "put the red ball next to the blue key",
            "You carry a red ball\na blue key 1 step left and 1 step forward",
            "drop",
        ),
        (
            "put the red ball next to the blue key",
            "You carry a red ball\na blue key 3 steps forward",
            "go forward",
        ),
        (
            "put the red ball next to the blue key",
            "You carry a red ball\na blue key 1 step left",
            "go forward",
        ),
        ("pick up the red ball, then go to the blue key", "a blue key 1 step right", "go forward"),
        (
            "pick up the red ball, then go to the blue key",
            "You carry a red ball\na blue key 1 step right",
            "turn right",
        ),
        (
            "go to the blue key after you pick up the red ball",
            "a red ball 1 step forward\na blue key 1 step right",
            "pick up",
        ),
    ],
)
def test_acts_as_the_mission_asks(mission: str, observation: str, action: str) -> None:
    acted = greedy(mission, observation)
    assert acted == action or (action.startswith("turn") and acted in ("turn left", "turn right"))


def test_history_tells_what_lies_behind() -> None:
    before = "a wall 5 steps forward\na red ball 2 steps right"
    now = "a wall 5 steps forward"
    assert greedy("go to the red ball", now) == "go forward"
    # A turn to the left put the ball behind: turn, and not back and forth.
    assert greedy("go to the red ball", now, (before, "turn left")) == "turn left"


def test_door_of_history_decides_the_key() -> None:
    before = "a locked red door 2 steps right"
    now = "a blue key 1 step forward\na red key 1 step right"
    assert greedy("open the door", now, (before, "turn left")) == "turn right"


@pytest.mark.parametrize(("temperature", "kinds"), [(0.0, 1), (1.0, 6)])
def test_temperature_scales_chance(temperature: float, kinds: int) -> None:
    prompt = parse_prompt(messages("go to the red ball", "a red ball 3 steps forward"))
    rng = random.Random(1)
    drawn = Counter(choose(prompt, rng, temperature).action for _ in range(2000))
    assert len(drawn) == kinds
    assert drawn.most_common(1)[0][0] == "go forward"
    assert set(drawn) <= set(ACTIONS)


def test_thinking_is_one_sentence_that_ends_in_the_action() -> None:
    prompt = parse_prompt(messages("go to the red ball", "a red ball 1 step left and 2 steps forward"))
    choice = choose(prompt, random.Random(0), temperature=0)
    assert choice.thinking == (
        "I want to go to the red ball and the red ball is 1 step left and 2 steps forward, so I go forward."
    )


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("mission", ["", "sing", "pick up the red ball", "open the red door"])
@pytest.mark.parametrize("observation", ["", "You carry a red ball", "a wall 1 step forward"])
def test_every_prompt_gets_an_action(temperature: float, mission: str, observation: str) -> None:
    prompt = parse_prompt(messages(mission, observation))
    for seed in range(50):
        assert choose(prompt, random.Random(seed), temperature).action in ACTIONS
