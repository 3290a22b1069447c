"""How a model server wants to be asked: which form of answer it can promise, which parameters it takes.

Servers that speak OpenAI's API differ here. The preflight finds a model's dialect out, `run.json` keeps it,
and a run never mixes two: answers that a server was made to give in a schema are not comparable with answers
to a request in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from babyai_kit.configuration.answer_forms import AnswerForm, answer_forms
from babyai_kit.configuration.provider_types import PROVIDERS

AnswerFormat = AnswerForm
"""See `answer_forms`."""

Omission = Literal[
    "seed",
    "temperature",
    "reasoning_effort",
    "thinking_budget_tokens",
    "max_completion_tokens",
    "max_tokens",
]
"""A parameter that is left out, mostly since the server refuses it. The limit of an answer has two names: it
is sent as max_completion_tokens, without that as max_tokens, and without both there is none."""

FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerForm)
OMISSIONS: tuple[Omission, ...] = get_args(Omission)

_IN_WORDS = {
    "schema": "a JSON schema",
    "tool": "a tool to call",
    "json": "JSON mode",
    "words": "the prompt's words alone",
}


@dataclass(frozen=True)
class Dialect:
    """How one model is asked."""

    answer_format: AnswerFormat = "json"
    omitted: tuple[Omission, ...] = ()
    """In the order of OMISSIONS."""

    def omitting(self, parameters: Iterable[Omission]) -> Dialect:
        """The same, with these parameters left out and no others."""
        parameters = set(parameters)
        return Dialect(self.answer_format, tuple(o for o in OMISSIONS if o in parameters))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Dialect:
        """Raises KeyError, TypeError or ValueError for what is no dialect."""
        answer_format, omitted = content["answer_format"], tuple(content["omitted"])
        if answer_format not in FORMATS or not set(omitted) <= set(OMISSIONS):
            raise ValueError(f"{content!r} is not a dialect")
        return cls(answer_format, omitted)

    def __str__(self) -> str:
        text = f"with {_IN_WORDS[self.answer_format]}"
        left_out: list[str] = [o for o in self.omitted if not o.startswith("max_")]
        if {"max_completion_tokens", "max_tokens"} <= set(self.omitted):
            left_out.append("a limit of tokens")
        return text + (f", without {' and '.join(left_out)}" if left_out else "")


def first_dialect(base_url: str, provider: str = "openai") -> Dialect:
    """In which a model's server is asked first.

    OpenAI's newer models refuse the limit's older name; other servers know it, and some (Ollama) pay no
    attention to the newer one. `base_url`: empty if it is not known. `provider`: the type of provider that
    the gateway asks; one that takes no seed ignores it, which must not look like one that was heeded.
    """
    if provider != "openai":
        known = PROVIDERS.get(provider)
        return Dialect(answer_forms(provider)[0], () if known is None or known.takes_seed else ("seed",))
    host = urlsplit(base_url).hostname or ""
    openai = not host or host.endswith(("openai.com", "openai.azure.com"))
    return Dialect("schema", () if openai else ("max_completion_tokens",))


def strict_schema(output_schema: Mapping[str, Any], *, reasoning: bool) -> dict[str, Any]:
    """`output_schema` as servers take it for constrained answers: every property required, no others.

    `thinking` is a property only of variants whose prompt asks for it (`reasoning`): a model that is held to
    a schema fills in whatever the schema allows.
    Source: https://platform.openai.com/docs/guides/structured-outputs (supported schemas).
    """
    properties = {
        name: schema
        for name, schema in output_schema.get("properties", {}).items()
        if reasoning or name != "thinking"
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
