"""How a model server wants to be asked: which form of answer it can promise, which parameters it takes.

Servers that speak OpenAI's API differ here. The preflight finds a model's dialect out, `run.json` keeps it,
and a run never mixes two: answers that a server was made to give in a schema are not comparable with answers
to a request in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

AnswerFormat = Literal["schema", "json", "words"]
"""`schema`: the answer is held to the JSON schema. `json`: it is some JSON object (JSON mode). `words`: the
prompt alone asks for JSON."""

Omission = Literal["seed", "temperature", "max_completion_tokens", "max_tokens"]
"""A parameter that the server refuses, so that it is left out. Without max_completion_tokens, the limit is
sent as max_tokens; without both, there is none."""

FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)
OMISSIONS: tuple[Omission, ...] = get_args(Omission)

_IN_WORDS = {"schema": "a JSON schema", "json": "JSON mode", "words": "the prompt's words alone"}


@dataclass(frozen=True)
class Dialect:
    """How one model is asked."""

    answer_format: AnswerFormat = "json"
    omitted: tuple[Omission, ...] = ()
    """In the order of OMISSIONS."""

    def without(self, parameter: Omission) -> Dialect:
        """The same, less one more parameter."""
        omitted = {*self.omitted, parameter}
        return Dialect(self.answer_format, tuple(o for o in OMISSIONS if o in omitted))

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
        return text + (f", without {' and '.join(self.omitted)}" if self.omitted else "")


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
