"""What a failed answer means, and that it means the same after its way through the gateway."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.errors import ErrorKind, ModelLoading, RateLimited
from babyai_kit.gateway.errors import call_error
from babyai_kit.local.adapter.failures import as_body, failure_of, from_body
from babyai_kit.local.adapter.words import MAX_WORDS, server_words

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
        (429, "Limit 6000. Need more tokens? Upgrade in settings/billing", "rate limit", False, True),
        (429, "used all available credits or reached its monthly spending limit", "quota", True, False),
        (400, "Your credit balance is too low to access the API", "quota", True, False),
        (400, "Billing hard limit has been reached", "quota", True, False),
        (400, "You have reached your specified API usage limits.", "quota", True, False),
        (400, "make sure your account is in good standing (Arrearage)", "quota", True, False),
        (429, "You can increase your limit by adding a payment method", "rate limit", False, True),
        (400, "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0", "quota", True, False),
        (403, "Your team doesn't have any credits or licenses yet", "quota", True, False),
        (412, "Account is suspended: monthly spending limit or unpaid invoices", "quota", True, False),
        (None, "You exceeded it (insufficient_quota)", "quota", True, False),
        (400, "API key not valid. Please pass a valid API key.", "key refused", True, False),
        (403, "Just a moment...", "key refused", True, False),
        (403, "Your input was flagged. No credits were charged.", "bad request", False, False),
        (400, "filtered by the content management policy (content_filter)", "bad request", False, False),
        (400, "This model's maximum context length is 1024 tokens", "bad request", False, False),
        (403, "Input tokens + max_tokens exceed the context length", "bad request", False, False),
        (498, "The service tier is at capacity", "rate limit", False, True),
        (503, "The model is overloaded. Please try again later.", "rate limit", False, True),
        (503, "server busy, please try again", "rate limit", False, True),
        (503, "slot unavailable", "rate limit", False, True),
        (None, "Rate limit reached for requests", "rate limit", False, True),
        (529, "Overloaded", "rate limit", False, True),
        (503, "Loading model", "loading", False, True),
        (500, "model is not ready yet", "loading", False, True),
        (503, "Deployment is scaled to zero and is scaling up", "loading", False, True),
        (500, "error loading model: unknown model architecture", "server", False, True),
        (400, "Model unloaded.", "server", False, True),
        (400, "The model has crashed without additional information", "server", False, True),
        (409, "Conflict", "server", False, True),
        (424, "Request failed during generation", "server", False, True),
        (499, "The operation was cancelled.", "server", False, True),
        (520, "Web server is returning an unknown error", "server", False, True),
        (524, "A timeout occurred", "timeout", False, True),
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
    ("words", "header_s", "seconds"),
    [
        ("Please try again in 1m30s", None, 90.0),
        ("Please try again in 1m30s", 7.0, 7.0),
        ("x" * 2 * MAX_WORDS + " Please retry in 34.5s.", None, 34.5),
        ("slow down", None, None),
    ],
)
def test_when_to_come_back_is_read_from_all_of_the_words(
    words: str, header_s: float | None, seconds: float | None
) -> None:
    assert failure_of(429, words, retry_after_s=header_s).retry_after_s == seconds


def test_a_time_in_the_words_of_a_timeout_is_no_request_to_wait() -> None:
    assert failure_of(504, "gave up after waiting 30 s").retry_after_s is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"error": {"message": "no", "code": "x"}}', "no (x)"),
        ('{"error": "no"}', "no"),
        ('{"message": "no"}', "no"),
        ('{"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}', "extra (body seed)"),
        ('[{"error": {"code": 400, "message": "no", "status": "INVALID"}}]', "no"),
        (
            '{"error": {"message": "Provider returned error", "metadata": {"raw": "limited upstream"}}}',
            "Provider returned error (limited upstream)",
        ),
        (
            '{"message": "no", "metadata": {"raw": "{\\"error\\": {\\"message\\": \\"x\\"}}"}}',
            "no (x)",
        ),
        (
            '{"error": {"message": "quota", "details": [{"@type": "RetryInfo", "retryDelay": "34s"}, 5]}}',
            "quota (retry after 34s)",
        ),
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


def test_openrouters_time_of_a_limits_end_is_a_time_to_wait() -> None:
    reset = {"X-RateLimit-Reset": f"{(time.time() + 7200) * 1000:.0f}"}
    words = server_words({"error": {"message": "free-models-per-day", "metadata": {"headers": reset}}})
    assert 7000 < (failure_of(429, words).retry_after_s or 0) <= 7200
    reset = {"X-RateLimit-Reset": "1000000000000"}
    assert server_words({"error": {"message": "limit", "metadata": {"headers": reset}}}) == "limit"


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", '{"error": 5}', '{"error": {"type": "x"}}', "[" * 9999]
)
def test_other_bodies_are_no_adapters(text: str) -> None:
    assert from_body(text) is None
