"""From tokens that were generated to an answer of the server: text, tool call, log probabilities, refusals.

Knows one answer; nothing of how it is computed.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from babyai_kit.local.language_model.constraints import SchemaError, call_beginning
from babyai_kit.local.language_model.generation import Generation, TokenScore
from babyai_kit.local.language_model.tokenizer import ChatTokenizer
from babyai_kit.local.player.chat_request import ChatRequest, Tool
from babyai_kit.local.player.completion import ModelAnswer
from babyai_kit.local.player.logprobs import TokenLogprob
from babyai_kit.local.player.protocol import ProtocolError


def finished_answer(generation: Generation, request: ChatRequest, tokenizer: ChatTokenizer) -> ModelAnswer:
    """Raises ProtocolError if the answer could not be held to its schema."""
    if generation.error is not None:
        raise invalid_schema(generation.error, request)
    text, tool = tokenizer.decode(generation.answer), None
    if len(request.tools) > 1:
        text, tool = _called(text, request.tools, complete=not generation.truncated)
    scores = None
    if generation.top_logprobs is not None:
        scores = tuple(_as_logprob(score, tokenizer.token_bytes) for score in generation.scores)
    return ModelAnswer(
        text,
        prompt_tokens=len(generation.prompt),
        completion_tokens=len(generation.answer),
        truncated=generation.truncated,
        cached_tokens=generation.cached_tokens or 0,
        logprobs=scores,
        tool=tool,
    )


class GrowingAnswer:
    """What there is of an answer that is being generated, without calls of tools."""

    def __init__(self, generation: Generation, tokenizer: ChatTokenizer) -> None:
        self._generation, self._spelling = generation, tokenizer.token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text, self._tokens, self._scores = "", 0, list[TokenLogprob]()

    def grown(self) -> ModelAnswer | None:
        """The beginning of the answer, in whole characters; None: no token has come since the last call."""
        generation = self._generation
        added = generation.answer[self._tokens :]
        if not added:
            return None
        self._tokens += len(added)
        self._text += self._decoder.decode(b"".join(self._spelling[token] for token in added))
        new = generation.scores[len(self._scores) :]
        self._scores += [_as_logprob(score, self._spelling) for score in new]
        return ModelAnswer(
            self._text,
            prompt_tokens=len(generation.prompt),
            completion_tokens=self._tokens,
            cached_tokens=generation.cached_tokens or 0,
            logprobs=None if generation.top_logprobs is None else tuple(self._scores),
            growing=True,
        )


def invalid_schema(error: SchemaError, request: ChatRequest) -> ProtocolError:
    """The refusal of a schema, named by its place in the request."""
    if len(request.tools) == 1:
        return invalid_tool(error, request.tools[0])
    if request.tools:
        return ProtocolError(400, f"Invalid schemas for functions: {error}", param="tools")
    return ProtocolError(400, f"Invalid schema for response_format: {error}", param="response_format")


def invalid_tool(error: SchemaError, tool: Tool) -> ProtocolError:
    message = f"Invalid schema for function '{tool.name}': {error}"
    return ProtocolError(400, message, code="invalid_function_parameters", param=tool.param)


def _called(text: str, tools: Sequence[Tool], *, complete: bool) -> tuple[str, str | None]:
    """The arguments of a call of one of several tools, and its name; None: it ends before that."""
    for tool in tools:
        beginning = call_beginning(tool.name)
        if text.startswith(beginning):
            return text[len(beginning) : -1 if complete else None], tool.name
    return "", None


def _as_logprob(score: TokenScore, spelling: Sequence[bytes]) -> TokenLogprob:
    top = tuple((spelling[token], logprob) for token, logprob in score.top)
    return TokenLogprob(spelling[score.token], score.logprob, top)
