"""Odd answers as clean ones: what is kept, what is left out, what is a failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.errors import ErrorKind, ModelError
from babyai_kit.local.adapter.normal_form import answer_in_failure, normal_form

ANSWER = '{"action": "drop"}'


def body(message: Any = None, **changed: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": message or {"role": "assistant", "content": ANSWER},
    }
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]} | changed


def choice(**changed: Any) -> dict[str, Any]:
    whole = body()["choices"][0] | changed
    return body(choices=[{k: v for k, v in whole.items() if v is not ...}])


@pytest.mark.parametrize(
    ("answer", "content", "finish_reason"),
    [
        (body(), ANSWER, "stop"),
        (choice(finish_reason=None), ANSWER, None),
        (choice(finish_reason=...), ANSWER, None),
        (choice(finish_reason="MAX_TOKENS"), ANSWER, "length"),
        (choice(finish_reason="SAFETY"), ANSWER, "content_filter"),
        (choice(finish_reason=7), ANSWER, None),
        (choice(finish_reason="content_filter: PROHIBITED_CONTENT"), ANSWER, "content_filter"),
        (choice(finish_reason="model_length"), ANSWER, "length"),
        (choice(message={"content": {"action": "drop"}}), ANSWER, "stop"),
        (choice(message={"content": "a \ud83d"}), "a \ufffd", "stop"),
        (choice(index=...), ANSWER, "stop"),
        (body(choices=body()["choices"] * 2), ANSWER, "stop"),
        (body({"content": [{"type": "text", "text": '{"action": '}, {"text": '"drop"}'}]}), ANSWER, "stop"),
        (body({"content": None}), None, "stop"),
        (body({"content": None, "refusal": "No."}), "No.", "content_filter"),
        (body({"content": ANSWER, "refusal": None}), ANSWER, "stop"),
        (body({"content": 5}), None, "stop"),
        (choice(message=..., text=ANSWER), ANSWER, "stop"),
        (body(id=5, created=1.5, object=None), ANSWER, "stop"),
        (body(error=None), ANSWER, "stop"),
    ],
)
def test_what_an_answer_says(answer: Any, content: str | None, finish_reason: str | None) -> None:
    completion = normal_form(answer)
    assert (completion.content, completion.finish_reason) == (content, finish_reason)
    assert completion.has_message


@pytest.mark.parametrize(
    "answer", [choice(message=...), choice(message=None), body(choices=[]), body(choices=None)]
)
def test_an_answer_without_a_message(answer: Any) -> None:
    completion = normal_form(answer)
    assert not completion.has_message
    assert completion.content is None


@pytest.mark.parametrize(
    ("usage", "known"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3}, {"prompt_tokens": 5, "completion_tokens": 3}),
        ({"prompt_tokens": 5.0, "completion_tokens": "3"}, {"prompt_tokens": 5, "completion_tokens": 3}),
        ({"input_tokens": 5, "output_tokens": 3}, {"prompt_tokens": 5, "completion_tokens": 3}),
        ({"prompt_tokens": 5}, {"prompt_tokens": 5}),
        ({"prompt_tokens": -5, "completion_tokens": None}, None),
        ({"prompt_tokens": 2**40, "completion_tokens": float("nan")}, None),
        ({"prompt_tokens": float("inf"), "completion_tokens": True}, None),
        ({"prompt_tokens": 0, "completion_tokens": "9" * 5000}, {"prompt_tokens": 0}),
        (
            {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": None}},
            {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
        ),
        ({"prompt_tokens": 5, "completion_tokens_details": None}, {"prompt_tokens": 5}),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}},
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}},
        ),
        (
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5},
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}},
        ),
        (
            {"prompt_tokens": 9, "cached_tokens": 4},
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}},
        ),
        (
            {"input_tokens": 9, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": "3"}},
            {"prompt_tokens": 9, "completion_tokens": 5}
            | {"completion_tokens_details": {"reasoning_tokens": 3}},
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 28}
            | {"completion_tokens_details": {"reasoning_tokens": 20}},
            {"prompt_tokens": 5, "completion_tokens": 23}
            | {"completion_tokens_details": {"reasoning_tokens": 20}},
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 28},
            {"prompt_tokens": 5, "completion_tokens": 23}
            | {"completion_tokens_details": {"reasoning_tokens": 20}},
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 23, "total_tokens": 28}
            | {"completion_tokens_details": {"reasoning_tokens": 20}},
            {"prompt_tokens": 5, "completion_tokens": 23}
            | {"completion_tokens_details": {"reasoning_tokens": 20}},
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 99}
            | {"completion_tokens_details": {"reasoning_tokens": 2}},
            {"prompt_tokens": 5, "completion_tokens": 3}
            | {"completion_tokens_details": {"reasoning_tokens": 2}},
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 6},
            {"prompt_tokens": 5, "completion_tokens": 3},
        ),
        ({"prompt_tokens": 5, "total_tokens": 28}, {"prompt_tokens": 5}),
        ({}, None),
        (None, None),
        ("5 tokens", None),
        ([5, 3], None),
    ],
)
def test_usage_of_any_shape(usage: Any, known: Any) -> None:
    assert normal_form(body(usage=usage)).usage == known


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"error": {"message": "no such model", "code": 404}}, "server", "no such model"),
        ({"error": {"message": "slow down", "code": "429"}}, "rate limit", "slow down"),
        ({"error": "model is loading"}, "loading", "model is loading"),
        ({"error": {"message": "Insufficient credits", "code": 402}}, "quota", "Insufficient credits"),
        ({"error": {"message": "You exceeded it", "code": "insufficient_quota"}}, "quota", "exceeded it"),
        (choice(error={"code": 502, "message": "Upstream error"}), "server", "502.*Upstream error"),
        (choice(error={"code": 429, "message": "slow"}, finish_reason="error"), "rate limit", "slow"),
        (choice(finish_reason="error"), "server", "broke the answer off"),
        (choice(finish_reason="abort", message={"content": '{"act'}), "server", "broke the answer off"),
        (body({"content": ""}, error={"message": "gone"}), "server", "gone"),
        ({"detail": "welcome"}, "bad answer", "welcome"),
        ({}, "bad answer", "cannot be read"),
        ([], "bad answer", "cannot be read"),
        ("hello", "bad answer", "hello"),
    ],
)
def test_a_failure_of_status_200(answer: Any, kind: ErrorKind, words: str) -> None:
    with pytest.raises(ModelError, match=words) as raised:
        normal_form(answer)
    assert raised.value.kind == kind


@pytest.mark.parametrize(
    ("status", "error", "content", "finish_reason"),
    [
        (400, {"code": "json_validate_failed", "failed_generation": "I turn."}, "I turn.", "stop"),
        (
            400,
            {"message": "max completion tokens reached before a valid document", "failed_generation": ""},
            "",
            "length",
        ),
        (
            400,
            {"message": "filtered", "code": "content_filter"},
            "filtered (content_filter)",
            "content_filter",
        ),
        (400, {"message": "Content Exists Risk"}, "Content Exists Risk", "content_filter"),
        (400, {"message": "flagged", "code": "invalid_prompt"}, "flagged (invalid_prompt)", "content_filter"),
        (403, {"message": "Your input was flagged."}, "Your input was flagged.", "content_filter"),
    ],
)
def test_what_the_model_or_a_filter_did_is_no_failure(
    status: int, error: Any, content: str | None, finish_reason: str
) -> None:
    for whole in ({"error": error}, [{"error": error}]):
        answer = answer_in_failure(status, whole)
        assert answer is not None
        assert (answer.content, answer.finish_reason) == (content, finish_reason)
        assert answer.has_message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "seed is not supported"}}),
        (400, {"error": "no"}),
        (403, {"error": {"message": "Your account was flagged for violating the usage policy"}}),
        (500, {"error": {"message": "content_filter"}}),
        (400, None),
        (400, []),
    ],
)
def test_other_failures_hold_no_answer(status: int, body: Any) -> None:
    assert answer_in_failure(status, body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "message", "content", "finish_reason", "usage", "error", "code", "model"),
                    *("prompt_tokens", "completion_tokens", "prompt_tokens_details", "text", "refusal"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_comes_is_an_answer_or_a_failure(answer: Any) -> None:
    try:
        completion = normal_form(answer).as_body()
    except ModelError:
        return
    (one,) = completion["choices"]
    assert one["index"] == 0
    assert isinstance(one["finish_reason"], str)
    assert one["message"]["content"] is None or isinstance(one["message"]["content"], str)
    for name, count in completion.get("usage", {}).items():
        assert isinstance(count, dict) or 0 <= count < 2**31, name
