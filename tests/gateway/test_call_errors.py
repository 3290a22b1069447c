"""What fails between the kit and a gateway over HTTP, through TensorZero's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from babyai_kit.agents.template_agent import SAMPLE_ARGUMENTS
from babyai_kit.errors import GatewayAway, GatewayError, ModelError, RateLimited, ServiceError, StoreError
from babyai_kit.gateway.errors import call_error
from babyai_kit.gateway.protocol import Question
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway

RUN = "0196d3ee-0000-7000-8000-000000000000"
CALLS: dict[str, Callable[[TensorZeroGateway], Awaitable[object]]] = {
    "ask": lambda g: g.ask(Question("history", g.new_episode_id(), SAMPLE_ARGUMENTS)),
    "feedback": lambda g: g.feedback("success", True, RUN, {}),
    "run": lambda g: g.start_evaluation({"act": "history"}, "project", "name", {}),
    "episode": lambda g: g.start_evaluated_episode(RUN, "task", {}),
}


def answer(status: int, body: str, *, length: int | None = None) -> bytes:
    """An HTTP answer whose header promises `length` bytes, if that is given."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n{body}".encode()


@asynccontextmanager
async def gateway_that_says(said: bytes, *, reset: bool = False) -> AsyncIterator[TensorZeroGateway]:
    """The client of a server that answers everything with `said` and then closes, or resets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        if reset:
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    gateway = await TensorZeroGateway.over_http(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield gateway
    finally:
        server.close()


async def error_of(gateway: TensorZeroGateway, call: str = "ask") -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await CALLS[call](gateway)
    assert "\n" not in str(caught.value)
    return caught.value


AWAY = {
    "cut in the header": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "cut in the body": answer(200, '{"inference_id": "01', length=500),
    "cut in a chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":',
    "closed without a word": b"",
    "empty": answer(200, ""),
    "bad gateway": answer(502, "<html>\n<h1>502 Bad Gateway</h1></html>"),
    "unavailable": answer(503, '{"message": "no upstream"}'),
    "gateway timeout": answer(504, ""),
    "cloudflare": answer(521, "Web server is down"),
    "postgres": answer(503, '{"error": "Error connecting to Postgres: refused"}'),
    "key store": answer(401, '{"error": "TensorZero authentication error: Database error: pool timed out"}'),
}


@pytest.mark.parametrize("said", AWAY.values(), ids=AWAY)
async def test_a_gateway_that_is_away_is_worth_waiting_for_whatever_is_called(said):
    async with gateway_that_says(said) as gateway:
        for call in CALLS:
            error = await error_of(gateway, call)
            assert isinstance(error, GatewayAway)
            assert (error.kind, error.retryable, error.fatal) == ("gateway", True, False)


async def test_a_connection_that_is_reset_or_refused_is_a_gateway_that_is_away():
    async with gateway_that_says(b"", reset=True) as gateway:
        assert (await error_of(gateway)).kind == "gateway"
    error = await error_of(await TensorZeroGateway.over_http("http://127.0.0.1:9"))
    assert (error.kind, error.retryable) == ("gateway", True)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_the_gateway_refuses_is_not_the_models(status):
    body = json.dumps({"error": "TensorZero authentication error: Authorization header is required"})
    async with gateway_that_says(answer(status, body)) as gateway:
        for call in CALLS:
            error = await error_of(gateway, call)
            assert isinstance(error, GatewayError)
            assert (error.kind, error.fatal) == ("key refused", True)
            assert "TENSORZERO_API_KEY" in str(error)
            assert "OPENAI" not in str(error)


def test_a_key_that_the_provider_refuses_is_not_the_gateways():
    failed = "All model providers failed to infer with errors: primary: "
    body = json.dumps({"error": f"{failed}Error 401 Unauthorized from openai client: bad key"})
    error = call_error(f"TensorZeroError (status code 502): {body}", 502)
    assert isinstance(error, ModelError)
    assert error.kind == "key refused"
    assert "TENSORZERO_API_KEY" not in str(error)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://api.anthropic.com/v1/messages", "api.anthropic.com cannot be reached; check the network"),
        ("http://127.0.0.1:9/v1", "the model server cannot be reached; check that it is running"),
    ],
)
def test_an_unreachable_provider_is_named_if_it_is_elsewhere(url: str, words: str):
    failed = "All model providers failed to infer with errors: primary: "
    detail = f"Error from anthropic client: Error sending request: error sending request for url ({url})"
    error = call_error(failed + detail, None)
    assert isinstance(error, ModelError)
    assert (error.kind, error.retryable) == ("connection", True)
    assert str(error).startswith(words)


OTHERS = {
    "page": (answer(200, "<html>welcome</html>"), "bad answer", GatewayError),
    "other form": (answer(200, '{"ok": true}'), "bad answer", GatewayError),
    "error page": (answer(500, "<html>\x1b[31moops</html>"), "server", GatewayError),
    "rate": (answer(429, "slow down"), "rate limit", RateLimited),
    "store": (
        answer(503, '{"error": "Error connecting to ClickHouse: error sending request"}'),
        "store",
        StoreError,
    ),
    "function": (answer(404, '{"error": "Unknown function: act"}'), "unknown function", GatewayError),
    "variant": (
        answer(400, '{"error": "Variant history for function act not found."}'),
        "unknown function",
        GatewayError,
    ),
    "postgres": (
        answer(500, '{"error": "Postgres query failed: relation does not exist"}'),
        "refused",
        GatewayError,
    ),
    "too large": (answer(413, "length limit exceeded"), "refused", GatewayError),
    "own 502": (answer(502, '{"error": "No fallback variants remaining"}'), "refused", GatewayError),
}


@pytest.mark.parametrize(("said", "kind", "error_type"), OTHERS.values(), ids=OTHERS)
async def test_what_is_not_a_gateway_that_is_away_is_told_apart(said, kind, error_type):
    async with gateway_that_says(said) as gateway:
        error = await error_of(gateway)
    assert type(error) is error_type
    assert error.kind == kind
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("words", ["Timestamp is in the future", "Timestamp is too early"])
async def test_an_id_refused_for_its_time_names_the_clocks(words):
    async with gateway_that_says(
        answer(400, json.dumps({"error": f"Invalid Episode ID: {words}"}))
    ) as gateway:
        error = await error_of(gateway)
    assert error.fatal
    assert "this machine's clock says" in str(error)
    assert "set both clocks" in str(error)
    assert "config/" not in str(error)
