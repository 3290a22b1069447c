"""A server that speaks Anthropic's Messages API, as strict about a request as the real one.

Source: https://platform.claude.com/docs/en/api/messages, and the words of refusals as users report them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Body = dict[str, Any]

KEY = "sk-ant-test"
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True)
class Claude:
    """What one model takes."""

    prefill: bool = True
    temperature: bool = True
    schema: bool = True
    thinking: frozenset[str] = frozenset({"enabled", "adaptive"})


OLD = Claude(schema=False, thinking=frozenset({"enabled"}))
NEW = Claude(prefill=False, temperature=False, thinking=frozenset({"adaptive"}))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Strict):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1)]
    cache_control: dict[str, Any] | None = None


class _Source(_Strict):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[str, Field(min_length=1)]


class _Image(_Strict):
    type: Literal["image"]
    source: _Source


class _Message(_Strict):
    role: Literal["user", "assistant"]
    content: str | list[Annotated[_Text | _Image, Field(discriminator="type")]]


class _Tool(_Strict):
    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class _ToolChoice(_Strict):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(_Strict):
    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None


class _Format(_Strict):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class _OutputConfig(_Strict):
    format: _Format | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class _Request(_Strict):
    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    system: str | list[_Text] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: Literal[False] = False
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None


def anthropic_error(status: int, message: str, type_: str = "", **headers: str) -> web.Response:
    """An error in Anthropic's form, with these headers (`retry_after="60"`)."""
    error = {"type": type_ or ERROR_TYPES[status], "message": message}
    body = {"type": "error", "error": error, "request_id": "req_1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=status, headers=named)


@dataclass
class AnthropicServer:
    """`asked`: request bodies that were accepted; `refused`: the words of the refusals."""

    base_url: str = ""
    asked: list[Body] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@asynccontextmanager
async def anthropic_server(
    answer: Callable[[Body], str | web.Response] = lambda body: '{"action": "turn left"}',
    *,
    models: Mapping[str, Claude] | None = None,
    usage: Mapping[str, int] | None = None,
) -> AsyncIterator[AnthropicServer]:
    """A server whose every answer to an accepted request is the JSON text `answer(body)`, or that response.

    `models`: by name; without, every name is a model that takes everything.
    """
    server = AnthropicServer()

    async def messages(http: web.Request) -> web.Response:
        refusal = _headers(http) or await _refusal(http, models)
        if refusal is not None:
            server.refused.append(json.loads(refusal.text or "")["error"]["message"])
            return refusal
        body = await http.json()
        server.asked.append(body)
        said = answer(body)
        return said if isinstance(said, web.Response) else web.json_response(_message(body, said, usage))

    async def nowhere(http: web.Request) -> web.Response:
        return anthropic_error(404, "Not Found")

    app = web.Application()
    app.router.add_post("/v1/messages", messages)
    app.router.add_route("*", "/{path:.*}", nowhere)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/"
    try:
        yield server
    finally:
        await runner.cleanup()


def _headers(http: web.Request) -> web.Response | None:
    key = http.headers.get("x-api-key")
    if key != KEY:
        return anthropic_error(401, "invalid x-api-key" if key else "x-api-key header is required")
    if http.headers.get("anthropic-version") != "2023-06-01":
        return anthropic_error(400, "anthropic-version: header is required")
    return None


async def _refusal(http: web.Request, models: Mapping[str, Claude] | None) -> web.Response | None:
    try:
        request = _Request.model_validate_json(await http.text())
    except ValidationError as error:
        first = error.errors()[0]
        return anthropic_error(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    model = Claude() if models is None else models.get(request.model)
    if model is None:
        return anthropic_error(404, f"model: {request.model}")
    words = _misuse(request) or _not_supported(request, model)
    return anthropic_error(400, words) if words else None


def _misuse(request: _Request) -> str | None:
    """What the API takes of no model."""
    roles = [message.role for message in request.messages]
    if roles[0] != "user":
        return 'messages: first message must use the "user" role'
    if any(before == after for before, after in pairwise(roles)):
        return 'messages: roles must alternate between "user" and "assistant"'
    if request.tool_choice and not request.tools:
        return "tool_choice may only be specified while providing tools."
    thinking = request.thinking and request.thinking.type != "disabled"
    if thinking and roles[-1] == "assistant":
        return "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`."
    if thinking and request.tool_choice and request.tool_choice.type in ("any", "tool"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    if thinking and request.temperature not in (None, 1):
        return "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode."
    if request.thinking and request.thinking.type == "enabled":
        if request.thinking.budget_tokens is None:
            return "thinking.enabled.budget_tokens: Field required"
        if request.thinking.budget_tokens >= request.max_tokens:
            return "`max_tokens` must be greater than `thinking.budget_tokens`."
    form = request.output_config and request.output_config.format
    if form and form.schema_.get("additionalProperties") is not False:
        return "output_config.format.schema: 'additionalProperties' must be explicitly set to false"
    return None


def _not_supported(request: _Request, model: Claude) -> str | None:
    if not model.prefill and request.messages[-1].role == "assistant":
        return (
            "This model does not support assistant message prefill. The conversation must end with a user "
            "message."
        )
    if not model.temperature and request.temperature is not None:
        return "`temperature` is deprecated for this model."
    if request.output_config and request.output_config.format and not model.schema:
        return f"'{request.model}' does not support output format."
    kind = request.thinking.type if request.thinking else "disabled"
    if kind == "enabled" and kind not in model.thinking:
        return '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
    if kind == "adaptive" and kind not in model.thinking:
        return "adaptive thinking is not supported on this model"
    return None


def _message(body: Body, text: str, usage: Mapping[str, int] | None) -> Body:
    """The answer `text` in the form that was asked for, continuing a message that is begun."""
    content: list[Body] = []
    if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        content.append({"type": "thinking", "thinking": "", "signature": "c2ln"})
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if forced:
        tool = {"id": "toolu_1", "name": body["tools"][0]["name"], "input": json.loads(text)}
        content.append({"type": "tool_use"} | tool)
    else:
        begun = body["messages"][-1]["role"] == "assistant"
        content.append({"type": "text", "text": text.removeprefix("{") if begun else text})
    counts = {"input_tokens": 50, "output_tokens": 30}
    cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "tool_use" if forced else "end_turn",
        "stop_sequence": None,
        "usage": counts | cached | {"service_tier": "standard"} | dict(usage or {}),
    }
