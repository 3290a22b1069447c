"""Reading requests, forming answers, counting tokens: without a server."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from babyai_kit.local.player.chat_request import ChatRequest, parse_request
from babyai_kit.local.player.completion import complete
from babyai_kit.local.player.policy_answer import policy_answer
from babyai_kit.local.player.protocol import ProtocolError
from babyai_kit.tokens import count_prompt, count_text, truncate
from tests.support.messages import THINKING_RULES, body


def parsed(**fields: Any) -> ChatRequest:
    return parse_request(json.dumps(body(**fields)).encode())


def test_same_request_same_answer() -> None:
    assert [policy_answer(parsed(seed=5))] * 20 == [policy_answer(parsed(seed=5)) for _ in range(20)]


@pytest.mark.parametrize("empty", [None, {}])
def test_null_and_an_empty_object_count_as_absent(empty: Any) -> None:
    assert policy_answer(parsed(seed=5, response_format=empty)) == policy_answer(parsed(seed=5))


def test_seeds_and_messages_change_the_draw() -> None:
    assert len({policy_answer(parsed(seed=seed)) for seed in range(60)}) > 3
    views = [f"a red ball {n} steps forward" for n in range(2, 7)]
    assert len({parsed(seed=1, observation=view).identity for view in views}) == 5
    assert parsed(seed=1).identity != parsed(seed=2).identity
    assert parsed(seed=1, temperature=0).identity == parsed(seed=1).identity


def test_without_seed_entropy_is_fresh() -> None:
    assert len({policy_answer(parsed()) for _ in range(100)}) > 1
    assert len({policy_answer(parsed(temperature=0)) for _ in range(100)}) == 1


@pytest.mark.parametrize("rules", ["Answer with JSON.", THINKING_RULES])
def test_thinking_only_where_asked_for(rules: str) -> None:
    fields = json.loads(policy_answer(parsed(rules=rules, seed=1)))
    assert list(fields) == (["thinking", "action"] if rules == THINKING_RULES else ["action"])


ACTION = {"type": "string", "enum": ["turn left", "turn right", "go forward", "pick up", "drop", "toggle"]}
TEXT = {"type": "string"}


@pytest.mark.parametrize("rules", ["Answer with JSON.", THINKING_RULES])
@pytest.mark.parametrize(
    ("properties", "required"),
    [
        ({"action": ACTION}, ["action"]),
        ({"thinking": TEXT, "action": ACTION}, ["thinking", "action"]),
        ({"action": {"type": "string", "enum": ["done"]}}, ["action"]),
        (
            {
                "action": ACTION,
                "sure": {"type": "boolean"},
                "steps": {"type": "integer"},
                "plan": {"type": "array"},
                "mood": {"enum": ["calm"]},
                "more": {"type": "object", "properties": {"note": TEXT}, "required": ["note"]},
                "none": {"type": ["null", "string"]},
            },
            ["action", "sure", "steps", "plan", "mood", "more", "none"],
        ),
        ({"answer": TEXT}, ["answer"]),
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_answer_satisfies_the_schema(
    rules: str, properties: dict[str, Any], required: list[str], closed: bool
) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    if closed:
        schema["additionalProperties"] = False
    form = {"type": "json_schema", "json_schema": {"name": "r", "strict": True, "schema": schema}}
    request = parsed(rules=rules, response_format=form, seed=2)
    jsonschema.validate(json.loads(policy_answer(request)), schema)
    tool = {"type": "function", "function": {"name": "respond", "parameters": schema}}
    request = parsed(rules=rules, tools=[tool], tool_choice="required", seed=2)
    assert [tool.name for tool in request.tools] == ["respond"]
    jsonschema.validate(json.loads(policy_answer(request)), schema)


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff\xfe\x00", None),
        (b"[" * 100_000, None),
        (b"[]", None),
        (b"{}", "model"),
        (json.dumps(body(model=3)).encode(), "model"),
        (json.dumps(body(messages=[])).encode(), "messages"),
        (json.dumps(body(messages="hi")).encode(), "messages"),
        (json.dumps(body(messages=["hi"])).encode(), "messages[0]"),
        (json.dumps(body(messages=[{"role": "king", "content": "hi"}])).encode(), "messages[0].role"),
        (json.dumps(body(messages=[{"role": "user", "content": 3}])).encode(), "messages[0].content"),
        (
            json.dumps(body(messages=[{"role": "user", "content": [{"type": "image_url"}]}])).encode(),
            "messages[0].content",
        ),
        (json.dumps(body(n=2)).encode(), "n"),
        (json.dumps(body(temperature=3)).encode(), "temperature"),
        (json.dumps(body(temperature=float("nan"))).encode(), "temperature"),
        (json.dumps(body(temperature="hot")).encode(), "temperature"),
        (json.dumps(body(seed=1.5)).encode(), "seed"),
        (json.dumps(body(max_tokens=0)).encode(), "max_tokens"),
        (json.dumps(body(max_completion_tokens=True)).encode(), "max_completion_tokens"),
        (json.dumps(body(seed=True)).encode(), "seed"),
        (json.dumps(body(temperature=float("inf"))).encode(), "temperature"),
        (json.dumps(body(stop=3)).encode(), "stop"),
        (json.dumps(body(stop=["a", ""])).encode(), "stop[1]"),
        (json.dumps(body(stream="yes")).encode(), "stream"),
        (json.dumps(body(response_format={"type": "xml"})).encode(), "response_format"),
        (json.dumps(body(response_format="json")).encode(), "response_format"),
        (json.dumps(body(response_format={"type": "json_schema"})).encode(), "response_format.json_schema"),
        (
            json.dumps(body(response_format={"type": "json_schema", "json_schema": None})).encode(),
            "response_format.json_schema",
        ),
        (json.dumps(body(tool_choice="required")).encode(), "tool_choice"),
        (json.dumps(body(tool_choice="required", tools=[{"type": "custom"}])).encode(), "tool_choice"),
        (json.dumps(body(tool_choice={"function": {"name": []}}, tools=[])).encode(), "tool_choice"),
    ],
)
def test_bad_requests_name_the_field(raw: bytes, param: str | None) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_request(raw)
    assert caught.value.status == 400
    assert caught.value.param == param
    assert set(caught.value.body()["error"]) == {"message", "type", "param", "code"}


def test_odd_but_valid_requests() -> None:
    odd = body(n=1, temperature=None, seed=None, stop=None, tool_choice="auto", unknown=1)
    odd["tools"] = [{"type": "custom", "custom": {"name": "sing"}}]
    odd["messages"].append({"role": "assistant", "content": None})
    odd["messages"].append({"role": "user", "content": [{"type": "text", "text": "lone \ud800"}]})
    request = parse_request(json.dumps(odd).encode())
    assert json.loads(policy_answer(request))["action"]
    assert complete("x", request).prompt_tokens > 10


def test_published_token_figures() -> None:
    # Figures of o200k_base in OpenAI's cookbook, "How to count tokens with tiktoken".
    assert count_text("tiktoken is great!") == 6
    assert count_text("antidisestablishmentarianism") == 6
    assert count_text("お誕生日おめでとう") == 8
    assert count_text("<|endoftext|>") > 1
    assert count_text("") == 0
    assert count_prompt([("user", "tiktoken is great!")]) == 3 + (3 + 1 + 6)
    assert count_prompt([("user", "")], [{"a": 1}]) == 3 + 4 + count_text('{"a":1}')


def test_published_prompt_figure() -> None:
    # The cookbook's example, which the API counts as 124 tokens for gpt-4o. Its `name` fields cost one
    # token each beside their text.
    prompt = [
        (
            "system",
            "You are a helpful, pattern-following assistant that translates corporate jargon "
            "into plain English.",
        ),
        ("system", "New synergies will help drive top-line growth."),
        ("system", "Things working well together will increase revenue."),
        (
            "system",
            "Let's circle back when we have more bandwidth to touch base on opportunities for "
            "increased leverage.",
        ),
        ("system", "Let's talk later when we're less busy about how to do better."),
        ("user", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
    ]
    names = 2 * (1 + count_text("example_user")) + 2 * (1 + count_text("example_assistant"))
    assert count_prompt(prompt) + names == 124


def test_truncation_counts_what_is_left() -> None:
    text = '{"thinking": "I want to go to the red ball", "action": "go forward"}'
    whole = count_text(text)
    assert truncate(text, None) == truncate(text, whole) == (text, whole, False)
    for limit in range(1, whole):
        left, tokens, cut = truncate(text, limit)
        assert (tokens, cut) == (limit, True)
        assert text.startswith(left)


def test_stop_and_limits() -> None:
    request = parsed(stop=["action"], max_tokens=50)
    assert complete('{"action": "drop"}', request).text == '{"'
    assert complete('{"action": "drop"}', request).finish_reason == "stop"
    cut = complete("a b c d e f g", parsed(max_tokens=1000, max_completion_tokens=2))
    assert (cut.text, cut.finish_reason, cut.completion_tokens) == ("a b", "length", 2)
