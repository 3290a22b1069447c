"""The adapter before servers of every manner: bounds, waits, proxies, certificates, callers that leave."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from babyai_kit.errors import ConfigError
from babyai_kit.local.adapter import Adapter
from babyai_kit.local.adapter.normal_form import MAX_KEPT
from babyai_kit.local.adapter.upstream import MAX_BYTES, retry_after_s

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANSWER = {"choices": [{"message": {"content": '{"action": "drop"}'}, "finish_reason": "stop"}]}
QUESTION = {"model": "m", "messages": [], "seed": 1}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The address of a server that answers every request with `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def adapting(handler: Handler, *, path: str = "/v1/", **options: Any) -> AsyncIterator[SimpleNamespace]:
    """`.ask()` through an adapter before a server that answers with `handler`: status and body."""
    options = {"timeout_s": 30.0, "first_timeout_s": 30.0, "environ": {}} | options
    async with (
        serving(handler) as url,
        Adapter(url + path, **options) as adapter,
        aiohttp.ClientSession() as client,
    ):

        async def ask(**headers: str) -> tuple[int, Any]:
            async with client.post(
                f"{adapter.base_url}chat/completions", json=QUESTION, headers=headers
            ) as reply:
                return reply.status, await reply.json()

        yield SimpleNamespace(ask=ask, adapter=adapter)


def error_in(reply: tuple[int, Any]) -> dict[str, Any]:
    status, body = reply
    assert status == 400
    error: dict[str, Any] = body["error"]
    return error


async def test_the_request_goes_on_as_it_is_and_the_query_stays():
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path_qs, await request.json(), dict(request.headers)))
        return web.json_response(ANSWER)

    async with adapting(handler, path="/api/v1/?version=2") as at:
        status, body = await at.ask(Authorization="Bearer sk-1", Cookie="no=1")
    assert status == 200
    assert body["choices"][0]["message"]["content"] == '{"action": "drop"}'
    ((path, question, headers),) = seen
    assert path == "/api/v1/chat/completions?version=2"
    assert question == QUESTION
    assert headers["Authorization"] == "Bearer sk-1"
    assert "Cookie" not in headers


async def test_only_who_knows_its_path_may_ask():
    async def handler(_: web.Request) -> web.Response:
        raise AssertionError("asked")

    async with adapting(handler) as at, aiohttp.ClientSession() as client:
        base = at.adapter.base_url
        for path in ("/v1/chat/completions", "/chat/completions"):
            async with client.post(base.rsplit("/", 2)[0] + path, json={}) as reply:
                assert reply.status == 404


async def test_no_message_is_asked_for_once_more():
    answers = iter([{"choices": [{"finish_reason": "stop"}]}, ANSWER])
    blocked = {"choices": [{"finish_reason": "SAFETY"}], "usage": {"prompt_tokens": 3}}
    asked: list[int] = []

    async def handler(_: web.Request) -> web.Response:
        asked.append(1)
        return web.json_response(next(answers, blocked))

    async with adapting(handler) as at:
        _, body = await at.ask()
        assert body["choices"][0]["message"]["content"] == '{"action": "drop"}'
        assert len(asked) == 2
        _, body = await at.ask()
        assert len(asked) == 4
    (choice,) = body["choices"]
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "content_filter"
    assert body["usage"] == {"prompt_tokens": 3}


@pytest.mark.parametrize("whole", [True, False], ids=["50 MB", "without end"])
async def test_a_flood_is_read_and_kept_to_a_bound(whole: bool):
    sent = 0
    left = asyncio.Event()
    start = b'{"choices": [{"message": {"content": "{\\"thinking\\": \\"'

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(start)
        try:
            while not whole or sent < 50_000_000:
                await response.write(b"x" * 100_000)
                sent += 100_000
        finally:
            left.set()
        return response

    async with adapting(handler) as at:
        status, body = await at.ask()
        await asyncio.wait_for(left.wait(), 200)
    assert status == 200
    (choice,) = body["choices"]
    content = choice["message"]["content"]
    assert choice["finish_reason"] == "length"
    assert content.startswith('{"thinking": "xxx')
    assert content.endswith("the answer is longer than 4 MiB]")
    assert len(content) < MAX_KEPT + 100
    # What buffers on the way hold comes on top.
    assert sent < 4 * MAX_BYTES


async def test_an_answer_of_any_success_with_many_large_headers_is_read():
    async def handler(_: web.Request) -> web.Response:
        headers = {f"X-Header-{i}": "v" for i in range(200)} | {"X-Large": "x" * 20_000}
        return web.json_response(ANSWER, status=201, headers=headers | {"Set-Cookie": "a b;\t=,"})

    async with adapting(handler) as at:
        status, body = await at.ask()
    assert (status, body["choices"][0]["finish_reason"]) == (200, "stop")


async def test_answers_in_other_encodings_and_as_events_are_read():
    replies = iter(
        [
            web.Response(body=b"\xef\xbb\xbf" + json.dumps(ANSWER).encode()),
            web.Response(body=json.dumps(ANSWER).encode("utf-16")),
            web.Response(text=f"data: {json.dumps(ANSWER)}\n\n", content_type="text/event-stream"),
        ]
    )

    async def handler(_: web.Request) -> web.Response:
        return next(replies)

    async with adapting(handler) as at:
        for _ in range(3):
            status, body = await at.ask()
            assert (status, body["choices"][0]["message"]["content"]) == (200, '{"action": "drop"}')


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (lambda: web.Response(), "bad answer", "the answer is empty"),
        (lambda: web.Response(status=204), "bad answer", "the answer is empty"),
        (
            lambda: web.Response(body=b"\x00", headers={"Content-Encoding": "br"}),
            "bad answer",
            "packed as br",
        ),
        (
            lambda: web.Response(text="<title>x | 520: unknown error</title>", status=520),
            "server",
            "520: unknown error",
        ),
    ],
)
async def test_what_is_no_answer_is_told(response: Callable[[], web.Response], kind: str, words: str):
    async def handler(_: web.Request) -> web.Response:
        return response()

    async with adapting(handler) as at:
        error = error_in(await at.ask())
    assert error["kind"] == kind
    assert words in error["message"]


async def test_an_answer_that_a_server_calls_a_failure_is_the_agents():
    async def handler(_: web.Request) -> web.Response:
        error = {"message": "Failed to generate JSON", "code": "json_validate_failed"}
        return web.json_response({"error": error | {"failed_generation": "I drop it."}}, status=400)

    async with adapting(handler) as at:
        status, body = await at.ask()
    assert (status, body["choices"][0]["message"]["content"]) == (200, "I drop it.")


async def test_a_packed_flood_is_not_unpacked():
    packed = gzip.compress(json.dumps(ANSWER | {"x": "y" * 100_000_000}).encode())

    async def handler(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with adapting(handler) as at:
        status, body = await at.ask()
        assert status == 200
        assert body["choices"][0]["finish_reason"] == "length"
        packed = gzip.compress(json.dumps(ANSWER).encode())
        _, body = await at.ask()
    assert body["choices"][0]["finish_reason"] == "stop"


async def test_the_first_answer_may_take_longer_and_a_caller_that_leaves_ends_the_request():
    release, gone, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
    asked: list[int] = []

    async def handler(_: web.Request) -> web.Response:
        asked.append(1)
        if len(asked) == 3:
            third.set()
        try:
            if len(asked) > 1:
                await release.wait()
            else:
                await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            gone.set()
            raise
        return web.json_response(ANSWER)

    async with adapting(handler, timeout_s=0.2) as at:
        status, _ = await at.ask()
        assert status == 200
        error = error_in(await at.ask())
        assert error["kind"] == "timeout"
        assert "AGENT_TIMEOUT_MS" in error["message"]
    async with adapting(handler) as at:
        call = asyncio.create_task(at.ask())
        gone.clear()
        await asyncio.wait_for(third.wait(), 200)
        call.cancel()
        await asyncio.wait_for(gone.wait(), 200)


async def test_a_redirect_is_told_and_takes_no_key_along():
    async def handler(request: web.Request) -> web.Response:
        assert request.path.startswith("/v1/")
        raise web.HTTPPermanentRedirect("https://u:pw@other.example/v1/chat/completions?key=abc")

    async with adapting(handler) as at:
        error = error_in(await at.ask(Authorization="Bearer sk-1"))
    assert error["fatal"]
    assert error["message"].endswith("https://other.example/v1/chat/completions")


@pytest.mark.parametrize(
    ("manner", "kind"),
    [("cut", "server"), ("refused", "connection"), ("no name", "connection"), ("not http", "server")],
)
async def test_broken_connections(manner: str, kind: str):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if manner == "not http":
            await reader.read(100)
            writer.write(b"220 mail.example ESMTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if manner == "refused":
        server.close()
        await server.wait_closed()
    host = "no-such-host.invalid" if manner == "no name" else "127.0.0.1"
    async with (
        Adapter(f"http://{host}:{port}/v1/", timeout_s=30, first_timeout_s=30, environ={}) as adapter,
        aiohttp.ClientSession() as client,
        client.post(f"{adapter.base_url}chat/completions", json=QUESTION) as reply,
    ):
        error = error_in((reply.status, await reply.json()))
    server.close()
    assert error["kind"] == kind
    assert ("the model server cannot be reached; check that it is running" in error["message"]) == (
        manner == "refused"
    )
    away = "no-such-host.invalid cannot be reached; check the network connection or the proxy settings"
    assert (away in error["message"]) == (manner == "no name")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("status", "words", "fatal"),
    [
        (407, "HTTP_PROXY or HTTPS_PROXY", True),
        (None, "cannot be reached through the proxy 127.0.0.1; check HTTP_PROXY", False),
    ],
)
async def test_a_proxy_that_fails_is_named_without_its_password(
    scheme: str, status: int | None, words: str, fatal: bool
):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if status is None:
        server.close()
        await server.wait_closed()
    environ = {"ALL_PROXY": f"http://user:secretword@127.0.0.1:{port}"}
    async with (
        Adapter(
            f"{scheme}://model.example/v1/", timeout_s=30, first_timeout_s=30, environ=environ
        ) as adapter,
        aiohttp.ClientSession() as client,
        client.post(f"{adapter.base_url}chat/completions", json=QUESTION) as reply,
    ):
        error = error_in((reply.status, await reply.json()))
    assert words in error["message"]
    assert "secretword" not in error["message"]
    assert (error["kind"], error["fatal"], error["retryable"]) == ("connection", fatal, not fatal)
    server.close()


@pytest.mark.parametrize(("user", "header"), [("", "Bearer key"), ("us:pa%40ss@", "Basic dXM6cGFAc3M=")])
async def test_the_login_of_an_address_goes_before_a_key(user: str, header: str):
    """The key may be meant for another server, and one header cannot have both."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response(ANSWER)

    async with (
        serving(handler) as url,
        Adapter(
            url.replace("://", f"://{user}") + "/v1/", timeout_s=30, first_timeout_s=30, environ={}
        ) as adapter,
        aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as client,
        client.post(f"{adapter.base_url}chat/completions", json=QUESTION) as reply,
    ):
        assert reply.status == 200
    assert seen == [header]


async def test_https_where_the_server_speaks_http():
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(ANSWER)

    async with (
        serving(handler) as url,
        Adapter(
            f"{url.replace('http', 'https')}/v1/", timeout_s=30, first_timeout_s=30, environ={}
        ) as adapter,
        aiohttp.ClientSession() as client,
        client.post(f"{adapter.base_url}chat/completions", json=QUESTION) as reply,
    ):
        error = error_in((reply.status, await reply.json()))
    assert error["fatal"]
    assert "write http:// instead of https://" in error["message"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "20"}, 20.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After-Ms": "1500", "Retry-After": "20"}, 1.5),
        (
            {"Retry-After": "Fri, 27 Nov 2026 10:01:00 GMT", "Date": "Fri, 27 Nov 2026 10:00:30 GMT"},
            30.0,
        ),
        ({"Retry-After": "Fri, 27 Nov 2020 10:01:00 GMT", "Date": "Fri, 27 Nov 2026 10:00:30 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e99"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None):
    assert retry_after_s(headers) == seconds


async def test_retry_after_reaches_the_caller():
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "slow"}}, status=429, headers={"Retry-After": "7"})

    async with adapting(handler) as at:
        error = error_in(await at.ask())
    assert (error["kind"], error["retry_after_s"]) == ("rate limit", 7.0)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_serves_hosts_elsewhere_and_never_this_machine(name: str):
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(str(request.url))
        return web.json_response(ANSWER)

    async with serving(handler) as proxy, aiohttp.ClientSession() as client:
        environ = {name: proxy, "NO_PROXY": "inside.example"}
        options = {"timeout_s": 30, "first_timeout_s": 30, "environ": environ}
        async with (
            Adapter("http://model.example/v1/", **options) as adapter,
            client.post(f"{adapter.base_url}chat/completions", json=QUESTION) as reply,
        ):
            assert reply.status == 200
        assert seen == ["http://model.example/v1/chat/completions"]
        options["environ"] = {name: "http://127.0.0.1:9"}
        async with (
            Adapter(f"{proxy}/v1/", **options) as adapter,
            client.post(f"{adapter.base_url}chat/completions", json=QUESTION) as reply,
        ):
            assert reply.status == 200
        assert len(seen) == 2


def test_a_proxy_that_cannot_be_used_is_told_before_anything_starts():
    with pytest.raises(ConfigError, match="ALL_PROXY names a socks5 proxy"):
        Adapter(
            "http://model.example/v1/",
            timeout_s=1,
            first_timeout_s=1,
            environ={"ALL_PROXY": "socks5://u:pw@127.0.0.1:1080"},
        )
