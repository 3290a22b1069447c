"""In which forms a provider's models can be made to answer, and how the gateway is told to ask for each.

The gateway's own JSON modes do not do: they hold an answer to the schema of the whole function, and `on`
begins the answer of an Anthropic model for it, which newer ones refuse. So a schema is written into the
request that the gateway makes, at a place of the provider's API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from babyai_kit.configuration.provider_types import PROVIDERS, Api

AnswerForm = Literal["schema", "tool", "json", "words"]
"""`schema`: the answer is held to the JSON schema. `tool`: the model must call a tool whose arguments are the
answer. `json`: it is some JSON object (JSON mode). `words`: the prompt alone asks for JSON."""

_FORMS: Mapping[Api, tuple[AnswerForm, ...]] = {
    "openai": ("schema", "json", "words"),
    "gemini": ("schema", "json", "words"),
    "anthropic": ("schema", "tool", "words"),
    "bedrock": ("schema", "tool", "words"),
}
_FORMS_OF_TYPE: Mapping[str, tuple[AnswerForm, ...]] = {
    "deepseek": ("json", "words"),
    "hyperbolic": ("words",),
}
_TOOL_SCHEMA: Mapping[Api, str] = {
    "openai": "/tools/0/function/parameters",
    "gemini": "/tools/0/functionDeclarations/0/parameters",
    "anthropic": "/tools/0/input_schema",
    "bedrock": "/toolConfig/tools/0/toolSpec/inputSchema/json",
}


@dataclass(frozen=True)
class FormRequest:
    """What a call of the gateway has so that the answer comes in one form."""

    json_mode: Literal["off", "on", "tool"]
    """Among the parameters of `chat_completion`."""
    extra_body: tuple[Mapping[str, Any], ...] = ()
    """Its extra_body: pointers into the request to the provider, and values."""


def answer_forms(provider_type: str, *, reasoning: bool = False) -> tuple[AnswerForm, ...]:
    """The forms to try at a provider of this type, the strictest first; as at OpenAI if it is not known.

    `reasoning`: the model is told to reason, in which case Claude cannot be made to call a tool.
    """
    forms = _FORMS_OF_TYPE.get(provider_type, _FORMS[_api(provider_type)])
    return tuple(form for form in forms if not (reasoning and form == "tool"))


def form_request(provider_type: str, form: AnswerForm, schema: Mapping[str, Any]) -> FormRequest:
    """How to ask a provider of this type for an answer in `form`, held to `schema` where the form is.

    `schema`: as `dialects.strict_schema` makes them.
    """
    api = _api(provider_type)
    if form == "schema":
        return FormRequest("off", _schema_body(api, schema))
    if form == "tool":
        written = _without_additional(schema) if api == "gemini" else dict(schema)
        return FormRequest("tool", ({"pointer": _TOOL_SCHEMA[api], "value": written},))
    if form == "json" and api == "gemini":
        return FormRequest("off", (_JSON_TYPE,))
    return FormRequest("on" if form == "json" else "off")


_JSON_TYPE = {"pointer": "/generationConfig/responseMimeType", "value": "application/json"}


def _schema_body(api: Api, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Sources: the APIs' pages on structured outputs."""
    value: dict[str, Any]
    if api == "anthropic":
        pointer, value = "/output_config/format", {"type": "json_schema", "schema": dict(schema)}
    elif api == "bedrock":
        pointer = "/outputConfig/textFormat"
        structure = {"jsonSchema": {"name": "answer", "schema": json.dumps(schema)}}
        value = {"type": "json_schema", "structure": structure}
    elif api == "gemini":
        pointer, value = "/generationConfig/responseSchema", _without_additional(schema)
        return (_JSON_TYPE, {"pointer": pointer, "value": value})
    else:
        pointer = "/response_format"
        value = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
        }
    return ({"pointer": pointer, "value": value},)


def _without_additional(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Gemini's dialect of schemas: nothing about other properties, and their order said, for which it would
    else take the alphabet's: the action before the thinking that leads to it."""
    plain = {name: value for name, value in schema.items() if name != "additionalProperties"}
    return plain | {"propertyOrdering": list(schema.get("properties", {}))}


def _api(provider_type: str) -> Api:
    provider = PROVIDERS.get(provider_type)
    return provider.api if provider else "openai"
