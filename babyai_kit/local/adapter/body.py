"""The body of an answer as JSON: unpacked, decoded, and joined where it comes as a stream of events."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pydantic_core

from babyai_kit.hostile_text import parse_json
from babyai_kit.local.adapter.failures import unreadable

_WINDOWS = {"gzip": (47,), "x-gzip": (47,), "deflate": (47, -15)}
"""zlib's, by encoding. 47: zlib or gzip, as the data say. -15: without a header, as some servers send it."""


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """At most `limit` bytes of what `body` packs. Some servers pack what was asked for plain.

    Raises ModelError for an `encoding` (of the header Content-Encoding) that cannot be read.
    """
    encoding = encoding.strip().lower()
    for window in _WINDOWS.get(encoding, ()):
        with contextlib.suppress(zlib.error):
            return zlib.decompressobj(wbits=window).decompress(body, limit)
    if encoding in ("", "identity") or body.lstrip().startswith(b"{"):
        return body
    raise unreadable(f"the answer is packed as {encoding}, which was not asked for")


def decoded(body: bytes, charset: str | None) -> str:
    """`body` as text: UTF-8, -16 or -32 as its first bytes say, else as `charset` says; what is no text in
    it becomes U+FFFD."""
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        pass
    try:
        return body.decode(charset or encoding, errors="replace")
    except LookupError:
        return body.decode(errors="replace")


def parsed(text: str, *, whole: bool) -> Any:
    """`text` as JSON, or as the stream of events that some servers send unasked; None if it is neither.

    What is not `whole` is read as far as it goes.
    """
    text = text.strip().lstrip("\ufeff")
    if text.startswith(("data:", "event:", "id:", ":")):
        return _joined(list(_events(text)), whole)
    try:
        return pydantic_core.from_json(text, allow_partial="off" if whole else "trailing-strings")
    except ValueError:
        pass
    try:
        # Reads half surrogate pairs, too.
        return parse_json(text)
    except ValueError:
        return None


def _events(text: str) -> Iterator[Any]:
    """The events' data; None for the mark of their end.
    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (parsing an event stream)."""
    for line in text.splitlines():
        if line.startswith("data:"):
            data = line.removeprefix("data:").strip()
            value = None if data == "[DONE]" else parsed(data, whole=True)
            if isinstance(value, dict) or data == "[DONE]":
                yield value


def _joined(events: list[Any], whole: bool) -> dict[str, Any] | None:
    """The answer that a stream of `chat.completion.chunk` amounts to; None if it breaks off."""
    answer: dict[str, Any] = {}
    text, reason = "", None
    for event in filter(None, events):
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        if event.get("error") or "message" in choice:
            return event  # type: ignore[no-any-return]
        answer |= {name: event[name] for name in ("model", "usage") if event.get(name)}
        delta = choice.get("delta")
        part = delta.get("content") if isinstance(delta, dict) else None
        text += part if isinstance(part, str) else ""
        reason = choice.get("finish_reason") or reason
    if whole and reason is None and None not in events:
        return None
    return answer | {"choices": [{"message": {"content": text}, "finish_reason": reason}]}
