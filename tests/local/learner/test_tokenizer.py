"""What the model reads of a prompt, and that nothing a prompt holds breaks it."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit import ACTIONS, TASKS, make_env
from babyai_kit.local.learner.tokenizer import (
    ACTION_TOKENS,
    READS,
    TOKEN,
    TURN,
    UNKNOWN,
    VOCABULARY,
    Prompt,
    Turn,
    answered_action,
    decode,
    encode_mission,
    encode_observation,
    encode_prompt,
    read_prompt,
)
from tests.support.project import PROMPTS


def messages(name: str) -> list[tuple[str, str]]:
    """A prompt as the gateway rendered it."""
    text = (PROMPTS / f"{name}.txt").read_text()
    return re.findall(r"<(system|user)>\n(.*?)\n</\1>", text, re.DOTALL)


def test_a_prompt_of_the_gateway_is_read_whole():
    prompt = read_prompt(messages("history"))
    assert prompt.mission == "put the blue ball next to the purple ball"
    assert [turn.action for turn in prompt.history] == ["drop", "turn left", "go forward"]
    assert [turn.valid for turn in prompt.history] == [True, True, False]
    assert prompt.history[0].observation == "a wall 2 steps forward\na wall 1 step right"
    assert prompt.observation.splitlines()[-1] == "a purple ball 2 steps left"
    assert read_prompt(messages("history_and_reasoning")) == prompt
    assert read_prompt(messages("baseline")) == Prompt(prompt.mission, (), prompt.observation)


def test_tokens_of_a_prompt():
    phrases = [VOCABULARY[token] for token in encode_prompt(read_prompt(messages("history")), 128)]
    assert phrases[:4] == ["put", "blue ball", "next to", "purple ball"]
    assert phrases.count(TURN) == READS + 1
    assert phrases[-6:] == [
        *("wall 5 forward", "wall 2 right"),
        *("blue ball", "-2 right 2 forward"),
        *("purple ball", "-2 right 0 forward"),
    ]


@pytest.mark.parametrize("task", TASKS)
def test_nothing_of_the_five_tasks_is_unknown(task: str):
    env, dice = make_env(task, num_dists=2), random.Random(0)
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        assert TOKEN[UNKNOWN] not in encode_mission(observation["mission"]), observation["mission"]
        while env.unwrapped.running:
            assert TOKEN[UNKNOWN] not in encode_observation(observation["text"]), observation["text"]
            observation, *_ = env.step(dice.randrange(6))


def test_missions_that_differ_in_order_differ_in_tokens():
    first = encode_mission("pick up a red ball, then go to the blue key")
    after = encode_mission("go to the blue key after you pick up a red ball")
    assert [VOCABULARY[t] for t in first] == ["pick up", "red ball", "then", "go to", "blue key"]
    assert [VOCABULARY[t] for t in after] == ["go to", "blue key", "after you", "pick up", "red ball"]


def test_answers_are_the_json_of_the_output_schema():
    for action, token in zip(ACTIONS, ACTION_TOKENS, strict=True):
        text = decode([token, TOKEN[TURN]])
        assert json.loads(text) == {"action": action}
        assert answered_action(text) == action
    assert answered_action('{"thinking": "hm", "action": "drop"}') == "drop"
    for broken in ("", "drop", "[]", '{"action": "fly"}', '{"action": 1}', "[" * 10_000):
        assert answered_action(broken) is None


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=4), st.integers(8, 64))
def test_any_text_has_tokens_and_fits(mission: str, observation: str, history, room: int):
    turns = tuple(Turn(text, action) for text, action in history)
    tokens = encode_prompt(Prompt(mission, turns, observation), room)
    assert 1 <= len(tokens) <= room
    assert all(0 <= token < len(VOCABULARY) for token in tokens)
    read_prompt([("user", f"Mission: {mission}\nCurrent observation:\n{observation}")])
