"""A chat completion as the gateway reads it, out of one as servers send it.

What a server says is kept where it can be read and left out where it cannot; nothing is made up, and an
answer's text is never changed but for the length that is kept.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babyai_kit.configuration.remedies import OF_SETTINGS, Remedies
from babyai_kit.configuration.usage_forms import OPENAI_USAGE
from babyai_kit.errors import ModelError
from babyai_kit.local.adapter.failures import failure_of, is_filtered, unreadable
from babyai_kit.local.adapter.words import MAX_WORDS, error_in, server_words

MAX_KEPT = 64 * 1024
"""Characters of an answer too long to be read whole that are kept."""

MAX_TOKENS = 2**31 - 1
"""More than the gateway and ClickHouse can hold counts as not told."""

FINISH_REASONS = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "endturn": "stop",
    "complete": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "function_call": "function_call",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "blocked": "content_filter",
    "prohibited_content": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "spii": "content_filter",
    "guardrail_intervened": "content_filter",
    "sensitive": "content_filter",
    "error_toxic": "content_filter",
}

BROKEN_OFF = {"error", "abort", "aborted", "cancelled", "network_error", "insufficient_system_resource"}
"""Reasons to finish that are a server's failure: the model had not ended its answer."""

_ENDED_BY_LIMIT = re.compile(r"max\w*.completion.tokens reached", re.IGNORECASE)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Completion:
    """One answer."""

    content: str | None
    finish_reason: str | None
    usage: Mapping[str, Any] | None
    model: str
    reasoning: str | None
    has_message: bool
    """False if the server sent no message at all, as some do for prompts that they block."""

    def as_body(self) -> dict[str, Any]:
        """A `chat.completion` object. Source: https://platform.openai.com/docs/api-reference/chat/object"""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning is not None:
            message["reasoning_content"] = self.reasoning
        # The gateway cannot read null.
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason or "unknown"}
        body = {
            "id": "adapted",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [choice],
        }
        return body if self.usage is None else body | {"usage": self.usage}


def normal_form(
    body: Any, *, retry_after_s: float | None = None, remedies: Remedies = OF_SETTINGS
) -> Completion:
    """The answer in `body`, an answer of status 200 as parsed from JSON. `retry_after_s`: its Retry-After.

    Raises ModelError, which ends with one of `remedies`, for a body that holds an error, and for one that is
    no answer.
    """
    if not isinstance(body, dict):
        raise unreadable(server_words(body, repr(body)), remedies=remedies)
    choices = body.get("choices")
    if not choices and (body.get("error") or "choices" not in body):
        raise _failure_in(body, retry_after_s, remedies)
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if choice.get("error"):
        raise _failure_in(choice, retry_after_s, remedies)
    reason = _reason(choice)
    if reason in BROKEN_OFF:
        raise failure_of(None, f"it broke the answer off (finish_reason {reason})")
    message = next((choice[k] for k in ("message", "delta") if isinstance(choice.get(k), dict)), None)
    content = _text(message.get("content")) if message else _text(choice.get("text"))
    if not content and body.get("error"):
        raise _failure_in(body, retry_after_s, remedies)
    finish_reason = FINISH_REASONS.get(reason)
    refusal = message.get("refusal") if message else None
    if isinstance(refusal, str) and refusal and not content:
        content, finish_reason = refusal, "content_filter"
    model = body.get("model")
    return Completion(
        content=content,
        finish_reason=finish_reason,
        usage=_usage(body.get("usage")),
        model=model[:200] if isinstance(model, str) else "",
        reasoning=_text((message or {}).get("reasoning_content")),
        has_message=message is not None or content is not None,
    )


def answer_in_failure(status: int, body: Any) -> Completion | None:
    """What the model answered, or the words of a filter that refused, where a server calls that a failure.

    None for failures that are the server's. Groq answers 400 to what is not JSON; prompts that a filter
    blocks get a 400 by Azure and others, a 403 by OpenRouter.
    """
    if status not in (400, 403, 422):
        return None
    error = error_in(body)
    text = error.get("failed_generation")
    words = server_words(body)
    if isinstance(text, str):
        reason = "length" if _ENDED_BY_LIMIT.search(words) else "stop"
    elif is_filtered(words):
        text, reason = words[:MAX_WORDS], "content_filter"
    else:
        return None
    return Completion(_text(text), reason, usage=None, model="", reasoning=None, has_message=True)


def _failure_in(body: Mapping[str, Any], retry_after_s: float | None, remedies: Remedies) -> ModelError:
    error = body.get("error")
    if not error:
        return unreadable(server_words(body), remedies=remedies)
    code = str(error.get("code", error.get("status")) if isinstance(error, dict) else body.get("code"))
    status = int(code) if code.isdecimal() and len(code) == 3 else None
    status = status if status and status >= 400 else None
    return failure_of(status, server_words(body), retry_after_s=retry_after_s, remedies=remedies)


def _text(content: Any) -> str | None:
    """The text of a message's content, which may come in parts or, in JSON mode, as the object itself.

    Half of a surrogate pair, where a limit cut between the halves, is no text and cannot be passed on.
    """
    if isinstance(content, list):
        parts = [p.get("text") if isinstance(p, dict) else p for p in content]
        content = "".join(p for p in parts if isinstance(p, str))
    elif isinstance(content, dict):
        content = json.dumps(content)
    return _LONE_SURROGATE.sub("\ufffd", content) if isinstance(content, str) else None


def _reason(choice: Mapping[str, Any]) -> str:
    """The reason to finish, without its details, as in `content_filter: PROHIBITED_CONTENT`."""
    reason = choice.get("finish_reason")
    return re.split(r"[:\s]", reason.strip().lower())[0] if isinstance(reason, str) else ""


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    counts = {
        "prompt_tokens": _first_count(usage, "/prompt_tokens", "/input_tokens"),
        "completion_tokens": _first_count(usage, "/completion_tokens", "/output_tokens"),
    }
    known: dict[str, Any] = {name: count for name, count in counts.items() if count is not None}
    for details, name, pointers in (
        ("prompt_tokens_details", "cached_tokens", OPENAI_USAGE.cached),
        ("prompt_tokens_details", "cache_write_tokens", OPENAI_USAGE.written),
        ("completion_tokens_details", "reasoning_tokens", OPENAI_USAGE.reasoning),
    ):
        count = _first_count(usage, *pointers)
        if count is not None:
            known.setdefault(details, {})[name] = count
    return _with_thoughts(known, _first_count(usage, "/total_tokens")) or None


def _with_thoughts(usage: dict[str, Any], total: int | None) -> dict[str, Any]:
    """`usage` with reasoning within the completion: xAI and Google count it in the total alone."""
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if total is None or prompt is None or completion is None or total <= prompt + completion:
        return usage
    thoughts = total - prompt - completion
    details = usage.get("completion_tokens_details", {"reasoning_tokens": thoughts})
    if details["reasoning_tokens"] != thoughts:
        return usage
    return usage | {"completion_tokens": completion + thoughts, "completion_tokens_details": details}


def _first_count(usage: Mapping[str, Any], *pointers: str) -> int | None:
    """The first at these JSON pointers that is a number of tokens, whatever its type."""
    for pointer in pointers:
        value: Any = usage
        for name in pointer.split("/")[1:]:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str) and value.isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if 0 <= value <= MAX_TOKENS and value == int(value):
            return int(value)
    return None
