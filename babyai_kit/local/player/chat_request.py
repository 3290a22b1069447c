"""One chat completion request, checked; and the errors of the protocol in OpenAI's form.

Knows the request body of OpenAI's chat completions API as far as this server honours it. Knows nothing
of HTTP, models or answers. Fields it does not know are accepted and ignored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class ProtocolError(Exception):
    """An answer with an HTTP error status, in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, headers or {}

    def body(self) -> dict[str, Any]:
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


@dataclass(frozen=True)
class ChatRequest:
    """A checked request. `messages` are (role, text) pairs; `body` is the whole request as sent."""

    model: str
    messages: tuple[tuple[str, str], ...]
    temperature: float = 1.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    schema: dict[str, Any] | None = None
    tool: str | None = None
    body: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def identity(self) -> str:
        """Hash (32 hex digits) of messages and seed: what makes two requests the same question."""
        text = json.dumps([self.messages, self.seed])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _refuse(param: str, expected: str) -> ProtocolError:
    return ProtocolError(400, f"Invalid '{param}': expected {expected}.", param=param)


def parse_request(raw: bytes) -> ChatRequest:
    """Read a request body. Raises ProtocolError (400) that names the field at fault."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(400, "The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise ProtocolError(400, "The request body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _refuse("model", "the name of a model")
    if body.get("n") not in (None, 1):
        raise _refuse("n", "1; this server gives one choice")
    schema, tool = _parse_form(body)
    temperature = _number(body, "temperature", 0, 2)
    stop = body.get("stop") or ()
    stop = (stop,) if isinstance(stop, str) else stop
    if not isinstance(stop, (list, tuple)) or not all(s and isinstance(s, str) for s in stop):
        raise _refuse("stop", "a text or a list of texts")
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise _refuse("stream", "true or false")
    limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    return ChatRequest(
        model=model,
        messages=parse_messages(body.get("messages")),
        temperature=1.0 if temperature is None else temperature,
        seed=_integer(body, "seed", -(2**63)),
        max_tokens=_integer(body, limit, 1),
        stop=tuple(stop),
        stream=stream,
        schema=schema,
        tool=tool,
        body=body,
    )


def parse_messages(messages: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(messages, list) or not messages:
        raise _refuse("messages", "a list of at least one message")
    parsed = []
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise _refuse(at, f"an object with a role of {', '.join(_ROLES)}")
        parsed.append((message["role"], _text(message.get("content"), at)))
    return tuple(parsed)


def _text(content: object, at: str) -> str:
    if content is None:  # an assistant message that called a tool
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        texts = [text for text in parts if isinstance(text, str)]
        if len(texts) < len(content):
            raise _refuse(f"{at}.content", "text; the offline player reads no other parts")
        content = "\n".join(texts)
    if not isinstance(content, str):
        raise _refuse(f"{at}.content", "a text or a list of text parts")
    # JSON can smuggle in lone surrogates, which no tokenizer takes.
    return content.encode("utf-8", "replace").decode("utf-8")


def _parse_form(body: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """The JSON schema that the answer must satisfy, and the tool to be called (None: plain text)."""
    form = body.get("response_format") or {"type": "text"}
    kind = form.get("type") if isinstance(form, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise _refuse("response_format", "type text, json_object or json_schema")
    schema = None
    if kind == "json_schema":
        wrapper = form.get("json_schema")
        schema = wrapper.get("schema", {}) if isinstance(wrapper, dict) else None
        if not isinstance(schema, dict):
            raise _refuse("response_format.json_schema", "an object with a schema")
    choice = body.get("tool_choice")
    if choice in (None, "none", "auto"):  # with "auto" the player answers in plain text
        return schema, None
    try:
        tools = {tool["function"]["name"]: tool["function"] for tool in body["tools"]}
        name = next(iter(tools)) if choice == "required" else choice["function"]["name"]
        parameters = tools[name].get("parameters") or {}
    except (KeyError, TypeError, AttributeError, StopIteration):
        raise _refuse("tool_choice", "none, auto, required or a function of 'tools'") from None
    if not isinstance(name, str) or not isinstance(parameters, dict):
        raise _refuse("tools", "functions with a name and JSON schema parameters")
    return parameters, name


def _number(body: dict[str, Any], name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise _refuse(name, f"a number from {low} to {high}")
    return float(value)


def _integer(body: dict[str, Any], name: str, low: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise _refuse(name, f"an integer from {low} up")
    return value
