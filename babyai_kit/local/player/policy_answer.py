"""The hand-written policy as a player: its choice as JSON of the form that the request asks for.

It looks at no variant: the form follows from the messages and the request's schema alone.
"""

from __future__ import annotations

import json
import random
from typing import Any

from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.policy import Choice, choose
from babyai_kit.local.player.prompt import parse_prompt


def policy_answer(request: ChatRequest) -> str:
    """The policy's answer as JSON text; the same for the same messages, seed and temperature.

    Without a seed the answer is drawn from fresh entropy.
    """
    prompt = parse_prompt(request.messages)
    choice = choose(prompt, answer_rng(request), request.temperature)
    return json.dumps(answer_fields(choice, prompt.wants_thinking, request.schema))


def answer_rng(request: ChatRequest) -> random.Random:
    """What the answer is drawn from: with a seed the same for the same question, without one fresh."""
    return random.Random() if request.seed is None else random.Random(int(request.identity, 16))


def answer_fields(choice: Choice, with_thinking: bool, schema: dict[str, Any] | None) -> dict[str, Any]:
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
    if with_thinking or "thinking" in required:
        fields["thinking"] = choice.thinking
    fields["action"] = choice.action
    for name in map(str, required):
        fields.setdefault(name, _minimal_value(properties.get(name)))
    if schema.get("additionalProperties") is False:
        fields = {name: value for name, value in fields.items() if name in properties}
    allowed = properties.get("action")
    if isinstance(allowed, dict) and "action" in fields:
        options = allowed.get("enum")
        if isinstance(options, list) and options and fields["action"] not in options:
            fields["action"] = options[0]
    return fields


def _minimal_value(schema: Any) -> Any:
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
        return answer_fields(Choice("", ""), False, {"additionalProperties": False, **schema})
    return {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}.get(str(kind))
