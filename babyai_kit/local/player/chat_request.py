"""One chat completion request, as players get it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from babyai_kit.local.player.protocol import parse_object

if TYPE_CHECKING:
    from babyai_kit.local.player.request_bodies import Function


@dataclass(frozen=True)
class Tool:
    """A function that an answer may call."""

    name: str
    schema: dict[str, Any]
    """Of its arguments."""
    param: str
    """Where the request has the schema, such as tools[0].function.parameters."""


@dataclass(frozen=True)
class ChatRequest:
    """A validated request. `messages` are (role, text) pairs; `body` is the whole request as sent."""

    model: str
    messages: tuple[tuple[str, str], ...]
    temperature: float = 1.0
    """0 to 2."""
    top_p: float = 1.0
    """0 to 1: sample from the likeliest tokens, as few as have this probability in sum."""
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    response_format: dict[str, Any] = field(default_factory=lambda: {"type": "text"})
    """As sent; its `type` is text, json_object or json_schema."""
    schema: dict[str, Any] | None = None
    """The JSON schema that the answer must satisfy, or that of the first tool; None: there is none."""
    tools: tuple[Tool, ...] = ()
    """The functions of which the answer must call one; its text is the arguments."""
    tool_named: bool = False
    """True if the request names the function."""
    logprobs: bool = False
    """Whether the log probabilities of the answer's tokens are wanted."""
    top_logprobs: int = 0
    """0 to 20: of how many of the likeliest tokens in each place."""
    body: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def wants_json(self) -> bool:
        """True if the answer must be JSON, with a schema or without."""
        return self.schema is not None or self.response_format["type"] != "text"

    @cached_property
    def identity(self) -> str:
        """Hash (32 hex digits) of messages and seed: what makes two requests the same question."""
        text = json.dumps([self.messages, self.seed])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def parse_request(raw: bytes) -> ChatRequest:
    """Read a request body. Raises ProtocolError (400) that names the field at fault."""
    from babyai_kit.local.player.request_bodies import ChatBody, SchemaFormat, ToolChoice
    from babyai_kit.local.player.validation import validate

    fields = parse_object(raw)
    chat = validate(ChatBody, fields)
    tools, schema = tuple(_tool(*entry) for entry in chat.callable.items()), None
    if tools:
        schema = tools[0].schema
    elif isinstance(chat.response_format, SchemaFormat):
        schema = chat.response_format.json_schema.content
    return ChatRequest(
        model=chat.model,
        messages=tuple(message.pair for message in chat.messages),
        temperature=chat.temperature,
        top_p=chat.top_p,
        seed=chat.seed,
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        stop=tuple(chat.stop),
        stream=chat.stream,
        response_format=fields.get("response_format") or {"type": "text"},
        schema=schema,
        tools=tools,
        tool_named=isinstance(chat.tool_choice, ToolChoice),
        logprobs=chat.logprobs,
        top_logprobs=chat.top_logprobs,
        body=fields,
    )


def _tool(place: int, function: Function) -> Tool:
    schema = function.parameters or {"type": "object"}
    return Tool(function.name, schema, f"tools[{place}].function.parameters")
