"""One chat completion request, as players get it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from babyai_kit.local.player.protocol import parse_object


@dataclass(frozen=True)
class ChatRequest:
    """A validated request. `messages` are (role, text) pairs; `body` is the whole request as sent."""

    model: str
    messages: tuple[tuple[str, str], ...]
    temperature: float = 1.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    schema: dict[str, Any] | None = None
    """The JSON schema that the answer must satisfy; None: plain text."""
    tool: str | None = None
    """Name of the function that the answer must call."""
    body: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def identity(self) -> str:
        """Hash (32 hex digits) of messages and seed: what makes two requests the same question."""
        text = json.dumps([self.messages, self.seed])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def parse_request(raw: bytes) -> ChatRequest:
    """Read a request body. Raises ProtocolError (400) that names the field at fault."""
    from babyai_kit.local.player.request_bodies import ChatBody, SchemaFormat
    from babyai_kit.local.player.validation import validate

    fields = parse_object(raw)
    chat = validate(ChatBody, fields)
    tool, schema = chat.tool, None
    if tool is not None:
        schema = tool.parameters
    elif isinstance(chat.response_format, SchemaFormat):
        schema = chat.response_format.json_schema.content
    return ChatRequest(
        model=chat.model,
        messages=tuple(message.pair for message in chat.messages),
        temperature=chat.temperature,
        seed=chat.seed,
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        stop=tuple(chat.stop),
        stream=chat.stream,
        schema=schema,
        tool=tool.name if tool else None,
        body=fields,
    )
