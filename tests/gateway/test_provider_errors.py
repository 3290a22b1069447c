"""What fails at providers that the gateway asks in their own way, as it arrives through the real gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.errors import ConfigError, ModelError, RateLimited, ServiceError
from babyai_kit.gateway.errors import call_error
from tests.support.anthropic_server import KEY, anthropic_error, anthropic_server
from tests.support.model_server import model_server, refusal
from tests.support.provider_gateway import error_of, provider_gateway
from tests.support.provider_hosts import provider_hosts

pytestmark = pytest.mark.e2e

PASSING = (True, False)
LASTING = (False, False)
FATAL = (False, True)
OVERLOADED_IN_STATUS_200 = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
SPENT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"
ANTHROPIC = [
    (400, "top_k: range", "bad request", LASTING, "read its reason: top_k: range"),
    (400, SPENT, "quota", FATAL, "add credit"),
    (
        400,
        "prompt is too long: 9 tokens > 8 maximum",
        "bad request",
        LASTING,
        "--max-tokens",
    ),
    (401, "invalid x-api-key", "key refused", FATAL, "set ANTHROPIC_API_KEY"),
    (402, "see billing", "quota", FATAL, "add credit"),
    (403, "no permission", "key refused", FATAL, "set ANTHROPIC_API_KEY"),
    (404, "model: claude-x", "bad request", FATAL, "check the model's name at Anthropic"),
    (413, "too large", "bad request", LASTING, "read its reason"),
    (429, "rate limit of 5 requests per minute", "rate limit", PASSING, "lower the concurr"),
    (500, "Internal server error", "server", PASSING, "try again"),
    (504, "took too long", "timeout", PASSING, "try again"),
    (529, "Overloaded", "rate limit", PASSING, "lower the concurrency"),
]


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def fate(error: ServiceError) -> tuple[str, tuple[bool, bool]]:
    return error.kind, (error.retryable, error.fatal)


def claude(base_url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "anthropic", "model_name": "claude-x", "api_base": base_url} | fields


async def test_each_failure_of_anthropic_is_what_it_says(key):
    replies: list[web.Response] = []
    async with (
        anthropic_server(lambda body: replies.pop()) as server,
        provider_gateway({"claude": claude(server.base_url)}) as gateway,
    ):
        for status, message, kind, outcome, remedy in ANTHROPIC:
            replies.append(anthropic_error(status, message, retry_after="7"))
            error = await error_of(gateway, "claude")
            assert (*fate(error), remedy in str(error)) == (kind, outcome, True), str(error)
            assert isinstance(error, RateLimited) == (kind == "rate limit")
            assert "OPENAI" not in str(error)
            assert "AGENT_MODEL" not in str(error)
        replies.append(web.Response(text=PAGE, status=502, content_type="text/html"))
        error = await error_of(gateway, "claude")
        assert fate(error) == ("server", PASSING)
        assert "502 Bad Gateway" in str(error)
        replies.append(web.json_response(OVERLOADED_IN_STATUS_200))
        assert fate(await error_of(gateway, "claude")) == ("rate limit", PASSING)
        replies.append(web.Response(text="<html>welcome</html>", content_type="text/html"))
        error = await error_of(gateway, "claude")
        assert fate(error) == ("bad answer", PASSING)
        assert "status page of Anthropic" in str(error)


async def test_what_the_gateway_does_not_even_send_is_no_outage(key):
    async with (
        anthropic_server() as server,
        provider_gateway({"claude": claude(server.base_url)}) as gateway,
    ):
        # Of this model it does not know how long an answer may be.
        error = await error_of(gateway, "claude", max_tokens=None)
        assert fate(error) == ("bad request", LASTING)
        assert "max_tokens" in str(error)
        both = {"reasoning_effort": "low", "thinking_budget_tokens": 1024}
        error = await error_of(gateway, "claude", **both)
        assert fate(error) == ("bad request", LASTING)
        assert "Cannot specify both" in str(error)
    assert not server.asked
    assert not server.refused


async def test_a_provider_that_is_not_there_or_slow_is_waited_for(key):
    async def never(http: Any) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    limits = {"timeouts": {"non_streaming": {"total_ms": 50}}}
    async with model_server(never, endpoint="/messages") as slow:
        tables = {"slow": claude(slow.base_url, **limits), "away": claude("http://127.0.0.1:9/v1")}
        async with provider_gateway(tables) as gateway:
            assert fate(await error_of(gateway, "slow")) == ("timeout", PASSING)
            assert fate(await error_of(gateway, "away")) == ("connection", PASSING)


def google(status: int, name: str, message: str, **more: Any) -> web.Response:
    error = {"code": status, "message": message, "status": name} | more
    return web.json_response({"error": error}, status=status)


def openai(status: int, message: str, **more: Any) -> web.Response:
    return web.json_response({"error": {"message": message} | more}, status=status)


GOOGLE = "google_ai_studio_gemini"
BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
QUOTA = "You exceeded your current quota, please check your plan and billing details."
RETRY = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}]
WRONG = "invalid_request_error"
NO_ROUTE = "No endpoints found that can handle the requested parameters."
NOT_DEPLOYED = "Model not found, inaccessible, and/or not deployed"
HOSTED = [
    (GOOGLE, google(400, "INVALID_ARGUMENT", "API key not valid."), "key refused", FATAL),
    (GOOGLE, google(403, "PERMISSION_DENIED", "denied"), "key refused", FATAL),
    (GOOGLE, google(404, "NOT_FOUND", "models/x is not found"), "bad request", FATAL),
    (GOOGLE, google(429, "RESOURCE_EXHAUSTED", QUOTA), "quota", FATAL),
    (GOOGLE, google(429, "RESOURCE_EXHAUSTED", QUOTA, details=RETRY), "rate limit", PASSING),
    (GOOGLE, google(503, "UNAVAILABLE", "The model is overloaded."), "rate limit", PASSING),
    (GOOGLE, google(500, "INTERNAL", "An internal error"), "server", PASSING),
    (GOOGLE, web.json_response(BLOCKED), "bad request", LASTING),
    ("openrouter", openai(401, "No auth credentials found", code=401), "key refused", FATAL),
    ("openrouter", openai(402, "Insufficient credits", code=402), "quota", FATAL),
    ("openrouter", openai(400, "org/nobody is not a valid model ID"), "bad request", FATAL),
    ("openrouter", openai(404, NO_ROUTE, code=404), "bad request", LASTING),
    ("openrouter", openai(429, "Rate limit exceeded", code=429), "rate limit", PASSING),
    ("groq", openai(404, "The model `x` is gone", code="model_not_found"), "bad request", FATAL),
    ("groq", openai(503, "Service unavailable, over capacity"), "rate limit", PASSING),
    ("mistral", openai(401, "Unauthorized"), "key refused", FATAL),
    ("mistral", openai(400, "Invalid model: nobody"), "bad request", FATAL),
    ("fireworks", openai(404, NOT_DEPLOYED, type=WRONG, code="NOT_FOUND"), "bad request", FATAL),
    ("fireworks", openai(403, "Forbidden"), "key refused", FATAL),
    ("together", openai(500, "Internal"), "server", PASSING),
    ("together", openai(422, "no", type=WRONG), "bad request", LASTING),
    ("xai", openai(403, "no credits or licenses"), "quota", FATAL),
    ("deepseek", openai(402, "Insufficient Balance"), "quota", FATAL),
    ("azure", openai(401, "Access denied due to invalid subscription key"), "key refused", FATAL),
]


async def test_failures_of_other_hosted_providers(tmp_path, monkeypatch):
    types = dict.fromkeys(type_ for type_, *_ in HOSTED)
    azure = {"type": "azure", "deployment_id": "d", "endpoint": "https://example.openai.azure.com"}
    tables = {
        type_: {"type": type_} | ({"model_name": "m"} if type_ != "azure" else azure) for type_ in types
    }
    for type_ in tables:
        monkeypatch.setenv(PROVIDERS[type_].key, "k")
    async with provider_hosts(tmp_path, monkeypatch) as hosts, provider_gateway(tables) as gateway:
        for type_, reply, kind, outcome in HOSTED:
            hosts.answer = lambda arrival, reply=reply: reply
            error = await error_of(gateway, type_)
            assert (type_, *fate(error)) == (type_, kind, outcome), str(error)
            assert (PROVIDERS[type_].key in str(error)) == (kind == "key refused")
            assert "OPENAI_" not in str(error)


async def test_failures_of_bedrock_tell_their_status(monkeypatch):
    monkeypatch.setenv("BEDROCK_TEST_TOKEN", "k")
    replies: list[Any] = []
    cases = [
        (400, "The provided model identifier is invalid.", "bad request", FATAL),
        (400, "1 validation error detected", "bad request", LASTING),
        (403, "The security token included in the request is invalid.", "key refused", FATAL),
        (429, "Too many requests, please wait before trying again.", "rate limit", PASSING),
        (500, "The system encountered an unexpected error", "server", PASSING),
        (503, "Bedrock is unable to process your request.", "server", PASSING),
    ]
    async with model_server(lambda body: replies.pop(), endpoint="/model/m/converse", path="") as server:
        table = {
            "type": "aws_bedrock",
            "model_id": "m",
            "region": "us-east-1",
            "endpoint_url": server.base_url,
            "api_key": "env::BEDROCK_TEST_TOKEN",
        }
        tables = {"m": table, "away": table | {"endpoint_url": "http://127.0.0.1:9"}}
        async with provider_gateway(tables) as gateway:
            for status, message, kind, outcome in cases:
                replies.append(web.json_response({"message": message}, status=status))
                error = await error_of(gateway, "m")
                assert (message, *fate(error)) == (message, kind, outcome), str(error)
                assert message in str(error)
            assert fate(await error_of(gateway, "away")) == ("connection", PASSING)


async def test_openais_request_id_is_no_part_of_its_words():
    def answer(body: Any) -> web.Response:
        response = refusal(413, "the body is too large")
        response.headers["x-request-id"] = "req-7"
        return response

    async with model_server(answer) as server:
        table = {"type": "openai", "model_name": "m", "api_base": server.base_url, "api_key_location": "none"}
        async with provider_gateway({"m": table}) as gateway:
            error = await error_of(gateway, "m")
    assert str(error).endswith(": the body is too large")


async def test_a_key_that_the_gateway_has_not_is_named(monkeypatch):
    for variable in ("ANTHROPIC_API_KEY", "MY_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError) as caught:
        async with provider_gateway({"claude": {"type": "anthropic", "model_name": "claude-x"}}):
            pass
    assert "models.claude.providers.p: the gateway has no key for Anthropic" in str(caught.value)
    assert "set ANTHROPIC_API_KEY in .env" in str(caught.value)
    tables = {"claude": {"type": "anthropic", "model_name": "claude-x", "api_key_location": "dynamic::key"}}
    async with provider_gateway(tables) as gateway:
        error = await error_of(gateway, "claude")
    assert fate(error) == ("key refused", FATAL)
    # A gateway over HTTP, of a model that is named by its provider alone.
    words = "API key missing for provider Anthropic: Environment variable `MY_KEY` is missing"
    late = call_error(f"TensorZeroError (status code 400): {json.dumps({'error': words})}", 400)
    assert (type(late), fate(late)) == (ModelError, ("key refused", FATAL))
    assert "set MY_KEY in .env" in str(late)


async def test_a_name_of_a_provider_may_be_any(key):
    failed = "All model providers failed to infer with errors: my provider (1): "
    body = json.dumps({"error": f"{failed}Error 401 Unauthorized from anthropic client: no"})
    error = call_error(f"TensorZeroError (status code 500): {body}", 500)
    assert fate(error) == ("key refused", FATAL)
