"""A model server that answers by a function of the test: whatever servers in the wild do."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]


def completion(
    content: str | None = '{"action": "turn left"}', *, finish_reason: str | None = "stop", usage: Any = None
) -> Body:
    """A usual answer; `usage` in place of the usual one."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "theirs",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    }


FORWARD = completion('{"action": "go forward"}', usage={"prompt_tokens": 20, "completion_tokens": 4})


def own_model(name: str, base_url: str, extra: str = "") -> str:
    """The entry of config/models.toml for a model `name` at the server of `base_url`."""
    return f"""
[models."{name}"]
routing = ["own"]
[models."{name}".providers.own]
type = "vllm"
model_name = "{name}-as-served"
api_base = "{base_url}"
api_key_location = "none"
{extra}
"""


def refusal(status: int, message: str = "refused", **headers: str) -> web.Response:
    """An error in OpenAI's form, with these headers (`Retry_After="60"`)."""
    body = {"error": {"message": message, "type": "error", "code": None}}
    return web.json_response(
        body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@dataclass
class ModelServer:
    base_url: str = ""
    asked: list[Body] = field(default_factory=list)
    """Request bodies in order of arrival."""
    embedded: list[Body] = field(default_factory=list)
    """Those of requests for embeddings."""
    authorizations: list[str] = field(default_factory=list)
    """Their headers of that name; empty for none."""


@asynccontextmanager
async def model_server(
    answer: Callable[[Body], Any],
    *,
    path: str = "/v1",
    endpoint: str = "/chat/completions",
    certificate: ssl.SSLContext | None = None,
    embed: Callable[[Body], Any] | None = None,
) -> AsyncIterator[ModelServer]:
    """A server whose every chat completion is `answer(body)`: a body, a response, or a coroutine of one.

    `path`: of its base URL; it is asked at `endpoint` below. With a `certificate`, it is asked by https.
    `embed`: likewise of embeddings; None: it has none.
    """
    server = ModelServer()

    async def chat(request: web.Request) -> web.StreamResponse:
        return await reply_to(request, server.asked, answer)

    async def embeddings(request: web.Request) -> web.StreamResponse:
        assert embed is not None
        return await reply_to(request, server.embedded, embed)

    async def reply_to(
        request: web.Request, kept: list[Body], answer: Callable[[Body], Any]
    ) -> web.StreamResponse:
        kept.append(await request.json())
        server.authorizations.append(request.headers.get("Authorization", ""))
        reply = answer(kept[-1])
        if inspect.isawaitable(reply):
            reply = await reply
        return reply if isinstance(reply, web.StreamResponse) else web.json_response(reply)

    app = web.Application()
    app.router.add_post(f"{path}{endpoint}", chat)
    if embed is not None:
        app.router.add_post(f"{path}/embeddings", embeddings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate).start()
    scheme = "https" if certificate else "http"
    server.base_url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}{path}"
    try:
        yield server
    finally:
        await runner.cleanup()
