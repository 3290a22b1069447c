"""What a model server says of a failure in its own words, whatever the form of its error."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from babyai_kit.hostile_text import parse_json

MAX_WORDS = 300
"""Characters of a server's own words in a message."""

_MESSAGES = ("error", "message", "detail", "errors", "msg", "reason")


def server_words(body: Any, text: str = "") -> str:
    """What an error `body`, as parsed from JSON, says in its own words; else what its `text` says."""
    if isinstance(body, list) and body:
        return server_words(body[0], text)
    if not isinstance(body, dict):
        title = re.search(r"<title>([^<]*)</title>", text, re.IGNORECASE)
        return title.group(1) if title else re.sub(r"<[^>]*>", " ", text[: 4 * MAX_WORDS])
    message = next((value for key in _MESSAGES if (value := body.get(key))), None)
    if isinstance(message, (dict, list)):
        return server_words(message) or json.dumps(message)[:MAX_WORDS]
    if not isinstance(message, str):
        return json.dumps(body)[:MAX_WORDS] if body else ""
    named = [note for note in _notes(body) if note and note not in message]
    return f"{message} ({', '.join(named)})" if named else message


def error_in(body: Any) -> Mapping[str, Any]:
    """The object that describes the failure in `body`; empty if there is none."""
    if isinstance(body, list) and body:
        return error_in(body[0])
    if not isinstance(body, dict):
        return {}
    error = body.get("error")
    return error if isinstance(error, dict) else body


def _notes(error: Mapping[str, Any]) -> list[str]:
    """What stands beside the message: a code; the parameter, which OpenAI names as param and FastAPI as loc;
    the words of the provider behind OpenRouter; when to come back, by Google."""
    place = error.get("loc")
    notes = [error.get("code"), error.get("param")]
    if isinstance(place, list):
        notes.append(" ".join(map(str, place)))
    metadata = error.get("metadata")
    if isinstance(metadata, dict):
        notes += [_inner_words(metadata.get("raw")), _reset_words(metadata.get("headers"))]
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("retryDelay"), str):
            notes.append(f"retry after {detail['retryDelay']}")
    return [note for note in notes if isinstance(note, str)]


def _reset_words(headers: Any) -> str | None:
    """When OpenRouter's limit ends: milliseconds since 1970."""
    reset = headers.get("X-RateLimit-Reset") if isinstance(headers, dict) else None
    if not (isinstance(reset, str) and reset.isdecimal() and len(reset) == 13):
        return None
    seconds = int(reset) / 1000 - time.time()
    return f"retry after {seconds:.0f} s" if seconds > 0 else None


def _inner_words(text: Any) -> str | None:
    if not isinstance(text, str):
        return None
    try:
        return server_words(parse_json(text), text)
    except ValueError:
        return text
