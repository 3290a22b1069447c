"""What a failed answer means, and that it means the same after its way through the gateway."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.errors import ErrorKind, ModelLoading, RateLimited
from babyai_kit.gateway.errors import call_error
from babyai_kit.local.adapter.failures import MAX_WORDS, as_body, failure_of, from_body, server_words

THROUGH_GATEWAY = (
    "All model providers failed to infer with errors: primary: Error 400 Bad Request from openai client: "
)


@pytest.mark.parametrize(
    ("status", "words", "kind", "fatal", "retryable"),
    [
        (401, "Incorrect API key", "key refused", True, False),
        (403, "Country not supported", "key refused", True, False),
        (402, "Insufficient Balance", "quota", True, False),
        (429, "You exceeded your current quota, check your plan and billing", "quota", True, False),
        (429, "x (insufficient_quota)", "quota", True, False),
        (
            429,
            "You exceeded your current quota and billing. Please retry in 34.2s.",
            "rate limit",
            False,
            True,
        ),
        (429, "Rate limit reached for requests", "rate limit", False, True),
        (529, "Overloaded", "rate limit", False, True),
        (503, "Loading model", "loading", False, True),
        (500, "model is not ready yet", "loading", False, True),
        (503, "Service Unavailable", "server", False, True),
        (502, "", "server", False, True),
        (504, "upstream request timeout", "timeout", False, True),
        (404, "model 'x' not found", "server", False, True),
        (400, "seed: unknown parameter", "bad request", False, False),
        (422, "extra", "bad request", False, False),
        (501, "", "bad request", False, False),
        (301, "https://x/v1", "bad request", True, False),
        (None, "whatever", "server", False, True),
    ],
)
def test_what_a_status_means(
    status: int | None, words: str, kind: ErrorKind, fatal: bool, retryable: bool
) -> None:
    error = failure_of(status, words)
    assert (error.kind, error.fatal, error.retryable) == (kind, fatal, retryable)
    assert isinstance(error, RateLimited) == (kind == "rate limit")
    assert isinstance(error, ModelLoading) == (kind == "loading")
    assert words in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"error": {"message": "no", "code": "x"}}', "no (x)"),
        ('{"error": "no"}', "no"),
        ('{"message": "no"}', "no"),
        ('{"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}', "extra (body seed)"),
        ('[{"error": {"code": 400, "message": "no", "status": "INVALID"}}]', "no"),
        ("<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        ("plain text", "plain text"),
        ("", ""),
    ],
)
def test_a_servers_own_words(text: str, words: str) -> None:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    assert server_words(content, text) == words


@given(
    status=st.sampled_from([301, 400, 401, 402, 404, 408, 422, 429, 500, 501, 503, 529]),
    words=st.text(max_size=300),
    retry_after_s=st.none() | st.floats(0, 1e6),
)
def test_a_failure_is_the_same_behind_the_gateway(
    status: int, words: str, retry_after_s: float | None
) -> None:
    error = failure_of(status, words, retry_after_s=retry_after_s)
    text = json.dumps({"error": THROUGH_GATEWAY + json.dumps(as_body(error))})
    seen = call_error(f"TensorZeroError (status code 500): {text}", 500)
    assert type(seen) is type(error)
    assert (str(seen), seen.kind, seen.fatal, seen.retryable, seen.retry_after_s) == (
        *(str(error), error.kind, error.fatal, error.retryable),
        error.retry_after_s,
    )
    assert "\n" not in str(error)
    assert len(str(error)) < MAX_WORDS + 250


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", '{"error": 5}', '{"error": {"type": "x"}}', "[" * 9999]
)
def test_other_bodies_are_no_adapters(text: str) -> None:
    assert from_body(text) is None
