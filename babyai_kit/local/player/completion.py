"""From a policy's choice to the answer of the API: JSON of the form asked for, limits, usage.

Knows the response bodies of chat completions (whole, streamed, tool call) and simple JSON schemas.
Knows nothing of HTTP, faults or how the choice was made. It looks at no variant: the form of the answer
follows from the messages and the request's schema alone.
"""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from babyai_kit.configuration.models import is_learner
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.policy import Choice, choose
from babyai_kit.local.player.prompt import parse_prompt
from babyai_kit.tokens import count_prompt, truncate

FINGERPRINT = "offline-player-no-LLM"
LEARNER_FINGERPRINT = "small-model-trained-here-no-hosted-LLM"


def play(request: ChatRequest) -> str:
    """The policy's answer as JSON text; the same for the same messages, seed and temperature.

    Without a seed the answer is drawn from fresh entropy.
    """
    prompt = parse_prompt(request.messages)
    rng = random.Random() if request.seed is None else random.Random(int(request.identity, 16))
    choice = choose(prompt, rng, request.temperature)
    return json.dumps(shape(choice, prompt.wants_thinking, request.schema))


def shape(choice: Choice, thinking: bool, schema: dict[str, Any] | None) -> dict[str, Any]:
    """The answer's fields: `thinking` where asked for, `action`, and what the schema requires.

    Covers schemas of flat objects (types, enum, const, required, additionalProperties), which is what
    an action needs; references and combinations are not resolved.
    """
    schema = schema or {}
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    fields: dict[str, Any] = {}
    if thinking or "thinking" in required:
        fields["thinking"] = choice.thinking
    fields["action"] = choice.action
    for name in map(str, required):
        fields.setdefault(name, _least(properties.get(name)))
    if schema.get("additionalProperties") is False:
        fields = {name: value for name, value in fields.items() if name in properties}
    allowed = properties.get("action")
    if isinstance(allowed, dict) and "action" in fields:
        options = allowed.get("enum")
        if isinstance(options, list) and options and fields["action"] not in options:
            fields["action"] = options[0]
    return fields


def _least(schema: Any) -> Any:
    """A smallest value that a property's schema allows."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        return shape(Choice("", ""), False, {"additionalProperties": False, **schema})
    return {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}.get(str(kind))


@dataclass(frozen=True)
class Completion:
    """A finished answer. Token counts are of the text as sent."""

    text: str
    finish_reason: str  # "stop" or "length"
    prompt_tokens: int
    completion_tokens: int
    null: bool = False  # send no text at all (a fault)

    @property
    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


@dataclass(frozen=True)
class Said:
    """An answer of a player that counts in tokens of its own."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cut: bool = False
    """True if the token limit cut it off."""


def finish(said: str | Said, request: ChatRequest, fault: str = "") -> Completion:
    """Apply `stop` and the token limit to an answer and count its tokens, unless its player has done so.

    The kind of fault matters for two: "huge" heeds no limit, "null" sends no text.
    """
    text = said if isinstance(said, str) else said.text
    ends = [text.index(stop) for stop in request.stop if stop in text]
    text = text[: min(ends)] if ends else text
    if isinstance(said, Said):
        reason = "length" if said.cut and not ends else "stop"
        return Completion(text, reason, said.prompt_tokens, said.completion_tokens)
    text, tokens, cut = truncate(text, None if fault == "huge" else request.max_tokens)
    form = [request.body[key] for key in ("tools", "response_format") if request.body.get(key)]
    prompt_tokens = count_prompt(request.messages, form)
    return Completion(text, "length" if cut else "stop", prompt_tokens, tokens, fault == "null")


def _head(request: ChatRequest, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": LEARNER_FINGERPRINT if is_learner(request.model) else FINGERPRINT,
    }


def _message(request: ChatRequest, text: str | None) -> dict[str, Any]:
    if request.tool is None or text is None:
        return {"role": "assistant", "content": text, "refusal": None}
    function = {"name": request.tool, "arguments": text}
    call = {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}


def whole_body(request: ChatRequest, completion: Completion, *, usage: bool) -> dict[str, Any]:
    """The body of an answer that is not streamed; without the field `usage` if told so."""
    choice = {
        "index": 0,
        "message": _message(request, None if completion.null else completion.text),
        "logprobs": None,
        "finish_reason": completion.finish_reason,
    }
    body = {**_head(request, "chat.completion"), "choices": [choice]}
    return {**body, "usage": completion.usage} if usage else body


def stream_bodies(request: ChatRequest, completion: Completion, *, usage: bool) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed answer: role, text word by word (a tool call in one), end, usage."""
    head = _head(request, "chat.completion.chunk")
    pieces = re.findall(r"\S+\s*|\s+", completion.text) if request.tool is None else []
    message = _message(request, "" if request.tool is None else completion.text)
    for index, call in enumerate(message.get("tool_calls", [])):
        call["index"] = index
    deltas = [message, *({"content": piece} for piece in pieces), {}]
    for number, delta in enumerate(deltas, start=1):
        reason = completion.finish_reason if number == len(deltas) else None
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    options = request.body.get("stream_options")
    if usage and isinstance(options, dict) and options.get("include_usage"):
        yield {**head, "choices": [], "usage": completion.usage}
