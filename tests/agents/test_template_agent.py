import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.agents.step_prompt import LastSteps, template_arguments
from babyai_kit.agents.template_agent import decide
from babyai_kit.environment import ACTIONS
from tests.runs.test_records import step

STEPS = [step(i) for i in range(10)]


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_is_understood(action: str):
    decision = decide({"action": action, "thinking": "so"})
    assert (decision.action, decision.valid, decision.thinking) == (action, True, "so")


@pytest.mark.parametrize(
    "parsed",
    [
        None,
        {},
        [],
        "go forward",
        {"action": "Go forward"},
        {"action": "done"},
        {"action": ["drop"]},
    ],
)
def test_what_is_no_action_moves_forward_and_counts_as_invalid(parsed: Any):
    decision = decide(parsed)
    assert (decision.action, decision.valid) == ("go forward", False)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["action", "thinking", "x"]), inner),
)


@given(json_values)
def test_any_answer_gives_an_action(parsed: Any):
    decision = decide(parsed)
    assert decision.action in ACTIONS
    assert decision.valid == (isinstance(parsed, dict) and parsed.get("action") in list(ACTIONS))


@given(st.integers(0, 12), st.integers(0, 10))
def test_memory_is_the_last_steps(length: int, taken: int):
    remembered = list(LastSteps(length).recall(STEPS[:taken]))
    assert remembered == STEPS[:taken][max(0, taken - length) :]


def test_the_input_holds_what_the_schema_wants_and_no_thoughts():
    arguments = template_arguments("go", "seen", [step(0, thinking="secret thought", valid=False)])
    assert arguments == {
        "mission": "go",
        "observation": "seen",
        "history": [{"observation": step().observation, "action": "go forward", "valid": False}],
    }
    assert "secret thought" not in json.dumps(arguments)
