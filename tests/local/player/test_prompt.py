"""What the offline player reads out of the messages."""

from __future__ import annotations

import time

import pytest

from babyai_kit.local.player.prompt import (
    Noun,
    Part,
    Thing,
    View,
    parse_mission,
    parse_prompt,
    parse_view,
    remember,
)
from tests.support.messages import RULES, THINKING_RULES, messages

BALL, KEY = Noun("red", "ball"), Noun("blue", "key")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("go to the red ball", [Part("go to", BALL)]),
        ("pick up a blue key", [Part("pick up", KEY)]),
        ("open the door", [Part("open", Noun(None, "door"))]),
        ("open the purple door", [Part("open", Noun("purple", "door"))]),
        ("put the blue key next to a red ball", [Part("put", KEY, BALL)]),
        ("pick up the blue key, then go to the red ball", [Part("pick up", KEY), Part("go to", BALL)]),
        ("go to the red ball after you pick up the blue key", [Part("pick up", KEY), Part("go to", BALL)]),
        ("Go to the Red ball.", [Part("go to", BALL)]),
        ("dance", []),
        ("", []),
    ],
)
def test_mission_forms(text: str, parts: list[Part]) -> None:
    assert parse_mission(text) == tuple(parts)


def test_view_has_things_wall_and_load() -> None:
    view = parse_view(
        "You carry a grey key\na wall 1 step forward\na wall 3 steps left\n"
        "a red ball 2 steps left and 1 step forward\na locked blue door 3 steps right\n"
        "You see a green box 6 steps forward\nNote: something else\na wall of text"
    )
    assert view.carried == ("grey", "key")
    assert view.wall_forward == 1
    assert view.blocked
    assert view.things == (
        Thing("red", "ball", -2, 1),
        Thing("blue", "door", 3, 0, "locked"),
        Thing("green", "box", 0, 6),
    )


@pytest.mark.parametrize(
    ("line", "blocked"),
    [
        ("a wall 2 steps forward", False),
        ("a red ball 1 step forward", True),
        ("a closed red door 1 step forward", True),
        ("a open red door 1 step forward", False),
        ("a red ball 1 step left", False),
    ],
)
def test_what_blocks(line: str, blocked: bool) -> None:
    assert parse_view(line).blocked is blocked


def test_prompt_with_history_and_notice() -> None:
    before = "a wall 3 steps forward\na red ball 3 steps right"
    note = 'go forward\nNote: your answer was not a valid action, so "go forward" was executed instead.'
    prompt = parse_prompt(
        messages("go to the red ball", "a wall 2 steps forward", [(before, "turn left"), (before, note)])
    )
    assert prompt.mission == (Part("go to", BALL),)
    assert prompt.view == View((), wall_forward=2)
    assert prompt.last_action == "go forward"
    # Seen 3 to the right before a step forward: now it is 1 behind as well.
    assert Thing("red", "ball", 3, -1) in prompt.remembered


def test_only_the_last_observation_counts() -> None:
    text = "Current observation:\na red ball 1 step left\nCurrent observation:\na blue key 2 steps forward"
    assert parse_prompt([("user", text)]).view.things == (Thing("blue", "key", 0, 2),)


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ("turn left", None),  # now 1 right and 2 forward: the view tells, memory need not
        ("turn right", (-1, -2)),
        ("go forward", None),
        ("toggle", None),
    ],
)
def test_memory_keeps_what_left_the_view(action: str, place: tuple[int, int] | None) -> None:
    known = remember([(View((Thing("red", "ball", -2, 1),)), action)])
    assert [thing.place for thing in known] == ([place] if place else [])


def test_memory_moves_with_the_agent() -> None:
    thing = Thing("red", "ball", 2, 3)
    steps = [(View((thing,)), "turn left"), (View(), "turn left")]
    assert remember(steps) == (Thing("red", "ball", -2, -3),)
    assert remember([*steps, (View(), "go forward")]) == (Thing("red", "ball", -2, -4),)
    blocked = View(wall_forward=1)
    assert remember([*steps, (blocked, "go forward")]) == (Thing("red", "ball", -2, -3),)


def test_thinking_is_wanted_where_the_rules_show_it() -> None:
    assert not parse_prompt(messages("go to the red ball", "", rules=RULES)).wants_thinking
    assert parse_prompt(messages("go to the red ball", "", rules=THINKING_RULES)).wants_thinking


@pytest.mark.parametrize(
    "text",
    ["ping", "", "Mission:", "Current observation:", "Observation:\nAction:", "a red ball " + "9" * 5000],
)
def test_anything_can_be_read(text: str) -> None:
    prompt = parse_prompt([("user", text), ("tool", "x")])
    assert prompt.mission == ()


@pytest.mark.parametrize(
    "unit", ["\n", " ", "Mission: ", "Observation:\n", "go to the ", "a wall ", "a red ball 1 step left\n"]
)
def test_hostile_prompts_cost_little(unit: str) -> None:
    start = time.perf_counter()
    for marker in ("", "Current observation:\n", "Observation:\n"):
        parse_prompt([("user", f"Mission: x\n{marker}" + unit * 20_000 + "Action: drop")])
    assert time.perf_counter() - start < 2  # seconds; a quadratic reader would take far longer
