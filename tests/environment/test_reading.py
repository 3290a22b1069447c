"""Reading is the inverse of writing: what the environment wrote is read as what its grid shows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.envs.babyai.core.verifier import AfterInstr, AndInstr, BeforeInstr, PutNextInstr

from babyai_kit.environment import make_env
from babyai_kit.environment.levels import level_ids
from babyai_kit.environment.reading import (
    Carried,
    Mission,
    Noun,
    Part,
    SeenObject,
    SeenWall,
    View,
    read_mission,
    read_observation,
)
from tests.support.goldens import EPISODES, records
from tests.support.observation_reference import Sight, look
from tests.support.policies import episodes, play

BALL, KEY = Noun("red", "ball"), Noun("blue", "key")
A_BALL, A_KEY = Noun("red", "ball", definite=False), Noun("blue", "key", definite=False)
LOCATIONS = {
    "front": "in front of you",
    "behind": "behind you",
    "left": "on your left",
    "right": "on your right",
}


def assert_observation_is_read(env: Any) -> None:
    text = env.gen_obs()["text"]
    view = read_observation(text)
    assert str(view) == text
    assert view.unknown == ()
    assert look(env) == Sight(
        carried=view.carried,
        walls=[(wall.side, wall.distance) for wall in view.walls],
        objects=[(obj.state, obj.colour, obj.kind, obj.right, obj.forward) for obj in view.objects],
    )
    front = env.grid.get(*env.front_pos)
    assert view.blocked is not (front is None or front.can_overlap())


def mission_of(instr: Any) -> Mission:
    """The mission as minigrid's instructions have it."""
    if isinstance(instr, BeforeInstr):
        return Mission(parts_of(instr.instr_a), parts_of(instr.instr_b))
    if isinstance(instr, AfterInstr):
        return Mission(parts_of(instr.instr_b), parts_of(instr.instr_a), after=True)
    return Mission(parts_of(instr))


def parts_of(instr: Any) -> tuple[Part, ...]:
    if isinstance(instr, AndInstr):
        return *parts_of(instr.instr_a), *parts_of(instr.instr_b)
    if isinstance(instr, PutNextInstr):
        return (Part("put", noun_of(instr.desc_move), noun_of(instr.desc_fixed)),)
    verb = {"GoTo": "go to", "Pick": "pick up", "Open": "open"}[type(instr).__name__[:4]]
    return (Part(verb, noun_of(instr.desc)),)


def noun_of(desc: Any) -> Noun:
    return Noun(desc.color, desc.type or "object", len(desc.obj_set) == 1, LOCATIONS.get(desc.loc, ""))


@settings(max_examples=100)
@given(episodes)
def test_the_five_tasks(episode: tuple[str, int, int, list[int]]) -> None:
    task, num_dists, seed, choices = episode
    env = make_env(task, num_dists=num_dists)
    env.reset(seed=seed)
    mission = read_mission(env.mission)
    assert mission == mission_of(env.instrs)
    assert str(mission) == env.mission
    assert_observation_is_read(env)
    for action in play(env, choices):
        env.step(action)
        assert_observation_is_read(env)


@pytest.mark.parametrize("level_id", level_ids())
def test_other_levels(level_id: str) -> None:
    rng = random.Random(level_id)
    env = make_env(level_id)
    for seed in range(8):
        env.reset(seed=seed)
        mission = read_mission(env.mission)
        assert mission == mission_of(env.instrs)
        assert str(mission) == env.mission
        for _ in range(10):
            assert_observation_is_read(env)
            if not env.running:
                break
            env.step(rng.choice([0, 1, 2, 2, 2, 3, 4, 5]))


@pytest.mark.parametrize("name", EPISODES)
def test_recorded_episodes(name: str) -> None:
    for golden in records(name):
        assert str(read_mission(golden["mission"])) == golden["mission"]
        for text in (golden["text"], *(step[1] for step in golden["steps"])):
            assert str(read_observation(text)) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("go to the red ball", [Part("go to", BALL)]),
        ("pick up a blue key", [Part("pick up", A_KEY)]),
        ("open the door", [Part("open", Noun(None, "door"))]),
        ("open the purple door", [Part("open", Noun("purple", "door"))]),
        ("put the blue key next to a red ball", [Part("put", KEY, A_BALL)]),
        ("pick up the blue key, then go to the red ball", [Part("pick up", KEY), Part("go to", BALL)]),
        ("go to the red ball after you pick up the blue key", [Part("pick up", KEY), Part("go to", BALL)]),
        ("Go to the Red ball.", [Part("go to", BALL)]),
        ("dance after you go to a red ball", [Part("go to", A_BALL)]),
        ("go to the red ball after you dance", [Part("go to", BALL)]),
        ("dance", []),
        ("", []),
    ],
)
def test_mission_forms(text: str, parts: list[Part]) -> None:
    assert read_mission(text).parts == tuple(parts)


def test_an_observation_is_read_leniently() -> None:
    view = read_observation(
        "you carry a Grey key\na wall 1 step forward\n a wall 3 steps left\n"
        "a red ball 2 steps left and 1 step forward\nA locked blue door 3 steps right\n"
        "You see a green box 6 steps forward\nNote: something else\na wall of text"
    )
    assert view == View(
        Carried("grey", "key"),
        (SeenWall("forward", 1), SeenWall("left", 3)),
        (
            SeenObject("red", "ball", -2, 1),
            SeenObject("blue", "door", 3, 0, "locked"),
            SeenObject("green", "box", 0, 6),
        ),
        ("note: something else", "a wall of text"),
    )


@pytest.mark.parametrize(
    ("line", "blocked"),
    [
        ("a wall 2 steps forward", False),
        ("a wall 1 step left", False),
        ("a wall 1 step forward", True),
        ("a red ball 1 step forward", True),
        ("a closed red door 1 step forward", True),
        ("a open red door 1 step forward", False),
        ("a red ball 1 step left", False),
    ],
)
def test_what_blocks(line: str, blocked: bool) -> None:
    assert read_observation(line).blocked is blocked


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    lines = map(str.strip, text.lower().splitlines())
    assert read_observation(text) == View(unknown=tuple(filter(None, lines)))
    assert read_mission(text) == Mission()
