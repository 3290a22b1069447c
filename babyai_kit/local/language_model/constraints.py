"""Answers that can be nothing but JSON of a schema: which tokens may come next.

The work is llguidance's; here is how schemas and this model's tokens come to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from babyai_kit.local.language_model.tokenizer import ChatTokenizer

_AS_JSON_DUMPS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way of writing each value, that of Python's json: most of an answer's tokens then need no thought."""


class SchemaError(ValueError):
    """A JSON schema that answers cannot be held to."""


class Constraints:
    """For one tokenizer. Not thread-safe."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = LLTokenizer(tokenizer.tokenizer.to_str(), eos_token=tokenizer.end)
        self._of_schema = lru_cache(maxsize=64)(self._compiled_schema)
        self._of_calls = lru_cache(maxsize=16)(self._compiled_calls)

    def of_schema(self, schema: dict[str, Any]) -> Constraint:
        """Raises SchemaError for one that is not supported."""
        return Constraint(self._of_schema(json.dumps(schema)).deep_copy())

    def of_calls(self, tools: Mapping[str, dict[str, Any]]) -> Constraint:
        """A call of one of `tools`, the schemas of arguments by name. Such an answer begins with the
        `call_beginning` of its tool; the arguments and a brace follow. Raises SchemaError."""
        return Constraint(self._of_calls(json.dumps(tools)).deep_copy())

    def _compiled_schema(self, schema: str) -> LLMatcher:
        try:
            grammar = LLMatcher.grammar_from_json_schema(schema, defaults=_AS_JSON_DUMPS)
        except ValueError as error:
            raise SchemaError(" ".join(str(error).split())) from None
        return self._compiled(grammar)

    def _compiled_calls(self, tools: str) -> LLMatcher:
        # No schema of schemas: the references within each count from its own top.
        calls = []
        for name, schema in json.loads(tools).items():
            arguments = json.dumps({**schema, "x-guidance": _AS_JSON_DUMPS})
            calls.append(f"{json.dumps(call_beginning(name))} %json {arguments} {json.dumps('}')}")
        return self._compiled(LLMatcher.grammar_from_lark(f"start: {' | '.join(calls)}"))

    def _compiled(self, grammar: str) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if reason := matcher.get_error():
            raise SchemaError(reason.splitlines()[0])
        return matcher


def call_beginning(tool: str) -> str:
    """What stands before the arguments in a call of one of several tools."""
    return f'{{"name": {json.dumps(tool)}, "arguments": '


class Constraint:
    """How far one answer has come."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def complete(self) -> bool:
        """True if nothing may follow."""
        return self._matcher.is_stopped()

    def allowed(self) -> np.ndarray:
        """Ids of the tokens that may come next, the end of the answer among them where it may end.

        Raises SchemaError if there are none: some schemas turn out to be too complex on the way.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        ids = np.nonzero(np.unpackbits(bits, bitorder="little"))[0]
        if not len(ids):
            raise SchemaError(self._matcher.get_error() or "no token may come next")
        return ids

    def take(self, tokens: Sequence[int]) -> None:
        """The answer goes on by `tokens`, which must be allowed. Raises SchemaError as `allowed` does."""
        if tokens and not self._matcher.consume_tokens(list(tokens)):
            raise SchemaError(self._matcher.get_error() or "these tokens may not come next")

    def forced(self) -> list[int]:
        """The tokens that must come now, as the tokenizer would write them; empty if there is a choice."""
        return self._matcher.compute_ff_tokens()
