"""From a player's answer to the response body of a chat completion: limits, usage. For streams: `stream`."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

from babyai_kit.local.player import logprobs
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.logprobs import TokenLogprob
from babyai_kit.tokens import count_prompt, truncate


@dataclass(frozen=True)
class ModelAnswer:
    """An answer of a player that counts in tokens of its own and has applied the token limit itself."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    truncated: bool = False
    """True if the token limit cut it off."""
    cached_tokens: int = 0
    """How many of the prompt's tokens were known from earlier calls and cost no work."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Of the text's tokens, without one that ends it; None: not asked for."""
    tool: str | None = None
    """Which of several tools it calls; None: it was cut off before that was known."""
    growing: bool = False
    """True if it is the beginning of an answer (see trainer.Answer)."""


@dataclass(frozen=True)
class Completion:
    """A finished answer. Token counts are of the text as sent."""

    text: str | None
    """None: the answer has no text at all (a fault)."""
    finish_reason: str
    """One of "stop", "length" and "tool_calls"."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] | None = None
    tool: str | None = None
    """The function that is called; the text is its arguments."""

    @property
    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def complete(answer: str | ModelAnswer, request: ChatRequest, fault: str = "") -> Completion:
    """Apply `stop` and the token limit to an answer and count its tokens, unless its player has done so.

    The kind of fault matters for two: "huge" ignores the limit, "null" sends no text.
    """
    text = answer if isinstance(answer, str) else answer.text
    stops = [text.index(stop) for stop in request.stop if stop in text]
    text = text[: min(stops)] if stops else text
    tool = _called(answer, request)
    # As OpenAI does it: a call by its name ends like a text.
    end = "tool_calls" if tool and not request.tool_named else "stop"
    if isinstance(answer, ModelAnswer):
        tokens = answer.logprobs if request.logprobs and not request.tools else None
        return Completion(
            text,
            "length" if answer.truncated and not stops else end,
            answer.prompt_tokens,
            answer.completion_tokens,
            answer.cached_tokens,
            logprobs.cut_after(tokens, text) if tokens is not None and stops else tokens,
            tool,
        )
    text, count, truncated = truncate(text, None if fault == "huge" else request.max_tokens)
    form = [request.body[key] for key in ("tools", "response_format") if request.body.get(key)]
    prompt_tokens = count_prompt(request.messages, form)
    if fault == "null":
        return Completion(None, "length" if truncated else "stop", prompt_tokens, count)
    return Completion(text, "length" if truncated else end, prompt_tokens, count, tool=tool)


def complete_so_far(answer: ModelAnswer, request: ChatRequest) -> Completion:
    """What of an answer that grows can be sent: not its end where that may be the beginning of a stop."""
    text = answer.text
    held = [size for stop in request.stop for size in range(1, len(stop)) if text.endswith(stop[:size])]
    return complete(replace(answer, text=text[: len(text) - max(held, default=0)]), request)


def _called(answer: str | ModelAnswer, request: ChatRequest) -> str | None:
    """The tool that the answer calls; of several, a player that answers with a text alone calls the first."""
    if len(request.tools) > 1 and isinstance(answer, ModelAnswer):
        return answer.tool
    return request.tools[0].name if request.tools else None


@dataclass(frozen=True)
class ResponseWriter:
    """Response bodies for one request. `usage`: whether they tell the tokens used."""

    request: ChatRequest
    fingerprint: str
    usage: bool

    def whole(self, completion: Completion) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        choice = {
            "index": 0,
            "message": self.message(completion.text, completion.tool),
            "logprobs": self.logprobs(completion.logprobs),
            "finish_reason": completion.finish_reason,
        }
        body = {**self.head("chat.completion"), "choices": [choice]}
        return {**body, "usage": completion.usage} if self.usage else body

    def head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.request.model,
            "system_fingerprint": self.fingerprint,
        }

    def logprobs(self, tokens: tuple[TokenLogprob, ...] | None) -> dict[str, Any] | None:
        return None if tokens is None else logprobs.as_json(tokens, self.request.top_logprobs)

    def message(self, text: str | None, tool: str | None = None) -> dict[str, Any]:
        if tool is None:
            content = None if self.request.tools else text
            return {"role": "assistant", "content": content, "refusal": None}
        function = {"name": tool, "arguments": text}
        call = {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
