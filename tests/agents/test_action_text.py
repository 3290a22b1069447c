"""Which ways of writing an action are understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.agents.action_text import bare_action, marked_action, thought_before
from babyai_kit.environment import ACTIONS

FORMS = {
    "{}": "word for word",
    "  {}\n\n": "space around it",
    "{}.": "punctuation",
    '"{}"': "quotes",
    "\u201c{}\u201d!": "other quotes",
    "**{}**": "emphasis",
    "`{}`": "code",
    "[{}]": "brackets",
    "- {}": "a bullet",
    "1. {}": "a number",
    "Action: {}": "a label",
    "**Action:** {}": "an emphasized label",
    "*Action*: `{}`": "both",
    "My next action: {}": "a longer label",
    "Final answer = {}": "another label",
    "```\n{}\n```": "a fence",
    "```text\n{}\n```": "a fence with a name",
    '{{"action": "{}"}}': "JSON",
    '```json\n{{"thinking": "so", "action": "{}"}}\n```': "JSON in a fence",
    '{{"action": "{}"': "JSON that was cut off",
    "The door is near.\n\n{}": "its own line, last",
    "{}\n\nThat brings me closer.": "its own line, first",
    "Should I drop it?\ndrop\nNo.\nAction: {}": "a label beside another action",
    "{}\n{}": "twice the same",
    "<think>go forward\npick up</think>\n{}": "after reasoning",
}
NOT_VALID = [
    "",
    "forward",
    "I go forward",
    "turn left, then go forward",
    "turn left\ngo forward",
    "Action: drop\nAction: toggle",
    "turn around",
    "do not\ngo  forward now",
    '{"action": ["drop"]}',
    '{"action": "fly"}',
    '{"move": "drop"}',
    "{",
    "<think>drop",
    "\ufffd\x00",
    "{" * 5000,
]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("form", FORMS, ids=FORMS.values())
def test_every_form_is_understood_in_every_case_and_between_marks(form: str, action: str):
    for words in (action, action.upper(), action.capitalize(), action.replace(" ", "_")):
        answer = form.replace("{}", words) if "{{" not in form else form.format(words)
        assert bare_action(answer) == action
        assert marked_action(answer) == action
    assert marked_action(f"Because.\n<action>{action}</action>") == action


@pytest.mark.parametrize("answer", NOT_VALID)
def test_nothing_is_guessed(answer: str):
    assert bare_action(answer) == marked_action(answer) == ""


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        ("<ACTION> Toggle. </Action>", "toggle"),
        ("<action>\ndrop\n</action>", "drop"),
        ("< action >drop< / action >", "drop"),
        ("<action>drop", "drop"),
        ("turn left\ngo forward\n<action>drop</action>", "drop"),
        ("Between <action>...</action>, then: <action>drop</action> Done.", "drop"),
        ("<action>drop</action> No, wait: <action>toggle</action>", "toggle"),
        ("<action>drop</action> No, wait: <action>fly</action>", ""),
        ("<action></action> drop", ""),
        ("<action>drop</action> <action>", ""),
        ("I open <action> and then <action>drop</action>", "drop"),
        ("<action>turn left, go forward</action>", ""),
        ("<think><action>drop</action></think><action>toggle</action>", "toggle"),
    ],
)
def test_the_last_mark_counts(answer: str, action: str):
    assert marked_action(answer) == action


words = st.text() | st.lists(
    st.sampled_from(
        [*ACTIONS, "<action>", "</action>", "\n", "{", "}", '"action":', "Action:", "`", "<think>"]
    )
).map("".join)


@given(words)
def test_any_answer_is_read(answer: str):
    assert bare_action(answer) in ("", *ACTIONS)
    assert marked_action(answer) in ("", *ACTIONS)
    assert thought_before(answer) in answer


@given(words, st.sampled_from(ACTIONS))
def test_whatever_stands_before_a_mark_does_no_harm(before: str, action: str):
    assert marked_action(f"{before}<action>{action}</action>") == action


@pytest.mark.parametrize(
    ("answer", "thought"),
    [
        ("The key is left.\n<action>turn left</action>", "The key is left."),
        ("I use <action>...</action>.\n<action>drop</action> End.", "I use <action>...</action>."),
        ("Turn left.", ""),
        ("The key is left.\nturn left", "The key is left.\nturn left"),
        ("It is", "It is"),
    ],
)
def test_the_thought_is_what_stands_before(answer: str, thought: str):
    assert thought_before(answer) == thought
