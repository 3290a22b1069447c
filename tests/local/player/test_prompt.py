"""What the offline player reads out of the messages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyai_kit.agents.rendering import Renderer
from babyai_kit.agents.step_prompt import step_prompt
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import ACTIONS, make_env
from babyai_kit.environment.reading import Noun, Part, SeenObject, SeenWall, View
from babyai_kit.local.player.prompt import parse_prompt, read_sections, remember
from tests.runs.test_records import step
from tests.support.messages import RULES, THINKING_RULES, messages, user_text
from tests.support.policies import episodes, play
from tests.support.project import CONFIG

VARIANTS = load_config(CONFIG, Settings(model="m")).variants
BALL = Noun("red", "ball")


def test_prompt_with_history_and_notice() -> None:
    before = "a wall 3 steps forward\na red ball 3 steps right"
    note = 'go forward\nNote: your answer was not a valid action, so "go forward" was executed instead.'
    prompt = parse_prompt(
        messages("go to the red ball", "a wall 2 steps forward", [(before, "turn left"), (before, note)])
    )
    assert prompt.mission == (Part("go to", BALL),)
    assert prompt.view == View(walls=(SeenWall("forward", 2),))
    assert prompt.last_action == "go forward"
    # Seen 3 to the right before a step forward: now it is 1 behind as well.
    assert SeenObject("red", "ball", 3, -1) in prompt.remembered


def test_only_the_last_observation_counts() -> None:
    text = "Current observation:\na red ball 1 step left\nCurrent observation:\na blue key 2 steps forward"
    assert parse_prompt([("user", text)]).view.objects == (SeenObject("blue", "key", 0, 2),)


@settings(max_examples=25)
@given(episodes, st.randoms(use_true_random=False))
def test_a_dialogue_says_what_the_same_steps_say_in_one_message(episode, dice) -> None:
    task, num_dists, seed, choices = episode
    env = make_env(task, num_dists=num_dists)
    text = env.reset(seed=seed)[0]["text"]
    steps = []
    for action in play(env, choices):
        steps.append(step(len(steps), observation=text, action=ACTIONS[action], valid=dice.random() < 0.8))
        text = env.step(action)[0]["text"]
    said = []
    for variant in (VARIANTS["history"], VARIANTS["dialogue"]):
        prompt = step_prompt(env.mission, text, steps, length=200, dialogue=variant.dialogue)
        said.append(Renderer(variant).messages(prompt.arguments, prompt.earlier))
    one, several = map(read_sections, said)
    assert several == one
    assert parse_prompt(said[1]) == parse_prompt(said[0])


def test_a_chat_before_the_mission_is_of_another_episode() -> None:
    """Such as demonstrations; and what is asked in between is no step."""
    demonstration = [
        ("user", user_text("go to the blue key", "a wall 1 step left")),
        ("assistant", "turn left"),
    ]
    now = [
        ("user", user_text("go to the red ball", "a red ball 2 steps left")),
        ("assistant", "I turn left."),
    ]
    sections = read_sections([*demonstration, *now, ("user", "So which action?")])
    assert sections.mission == "go to the red ball"
    assert sections.history == ()
    assert sections.observation.startswith("a red ball 2 steps left")


@pytest.mark.parametrize(
    "answer", ['{"action": "turn left"}', "turn left", ' {"x": 1, "action":"Turn Left"}']
)
def test_answers_between_messages_are_actions(answer: str) -> None:
    chat = [("user", user_text("go to the red ball", "a red ball 2 steps left")), ("assistant", answer)]
    prompt = parse_prompt([*chat, ("user", "a red ball 2 steps forward")])
    assert (prompt.last_action, prompt.mission) == ("turn left", (Part("go to", BALL),))
    assert prompt.view.objects == (SeenObject("red", "ball", 0, 2),)
    assert parse_prompt(chat[:1]).last_action is None


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
    known = remember([(View(objects=(SeenObject("red", "ball", -2, 1),)), action)])
    assert [obj.place for obj in known] == ([place] if place else [])


def test_memory_moves_with_the_agent() -> None:
    ball = SeenObject("red", "ball", 2, 3)
    steps = [(View(objects=(ball,)), "turn left"), (View(), "turn left")]
    assert remember(steps) == (SeenObject("red", "ball", -2, -3),)
    assert remember([*steps, (View(), "go forward")]) == (SeenObject("red", "ball", -2, -4),)
    blocked = View(walls=(SeenWall("forward", 1),))
    assert remember([*steps, (blocked, "go forward")]) == (SeenObject("red", "ball", -2, -3),)


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
