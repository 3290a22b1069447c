"""What a model server's failure means: whose it is, whether to try again, and when.

Decided by the status, and by the server's words where one status means several things. A failure travels
through the gateway as the body of an answer with status 400, the one kind that the gateway repeats whole.
"""

from __future__ import annotations

import json
import re
from typing import Any

from babyai_kit.errors import ErrorKind, ModelError, ModelLoading, RateLimited
from babyai_kit.hostile_text import visible

MAX_WORDS = 200
"""Characters of a server's own words in a message."""

_TYPE = "babyai_kit_adapter"
_MESSAGES = ("error", "message", "detail", "errors", "msg", "reason")
_NO_CREDIT = re.compile(
    r"insufficient.{0,3}(quota|balance|funds|credit)|out of credits?|no credits?|credit balance|"
    r"billing (hard )?limit|billing.not.active|payment required|exceeded your current quota.{0,40}billing",
    re.IGNORECASE,
)
_LOADING = re.compile(
    r"\b(loading|load(ed)? yet|warming up|starting up|still starting|not (yet )?ready|initiali[sz]ing)\b",
    re.IGNORECASE,
)
_COMES_BACK = re.compile(r"(retry|try again|retry.?delay).{0,20}\d", re.IGNORECASE)


def failure_of(status: int | None, words: str, *, retry_after_s: float | None = None) -> ModelError:
    """The typed error for an answer with `status` (None: unknown, 500 or more or one that the gateway does
    not tell), the server's `words` and its Retry-After, if any."""
    text = f" ({status})" if status else ""
    status = status or 500
    if status == 402 or (status in (403, 429) and _out_of_credit(words, retry_after_s)):
        return _error(
            "quota",
            f"the account at the model server is out of credit{text}; add credit or check the billing there, "
            "then run again",
            words,
            fatal=True,
        )
    if status in (401, 403):
        return _error(
            "key refused",
            f"the model server refused the key{text}; set OPENAI_API_KEY in .env",
            words,
            fatal=True,
        )
    if status in (429, 529):
        message = f"the model server limits the rate{text}; lower the concurrency or the requests per minute"
        return _error("rate limit", message, words, retryable=True, retry_after_s=retry_after_s)
    if (status >= 500 or status in (409, 425)) and _LOADING.search(words):
        message = f"the model server is loading the model{text}; it is waited for"
        return _error("loading", message, words, retryable=True, retry_after_s=retry_after_s)
    if status in (404, 405):
        message = (
            f"the model server does not know the model or the address{text}; check AGENT_MODEL, and that "
            "OPENAI_BASE_URL ends as the server's documentation says, mostly in /v1"
        )
        return _error("server", message, words, retryable=True)
    if status in (408, 504, 524):
        return _error(
            "timeout",
            f"the model server gave up waiting for an answer{text}; try again or lower the concurrency",
            words,
            retryable=True,
            retry_after_s=retry_after_s,
        )
    if 300 <= status < 400:
        message = f"the model server is at another address{text}; set OPENAI_BASE_URL to it"
        return _error("bad request", message, words, fatal=True)
    if 400 <= status < 500 or status == 501:
        message = f"the model server refused the request{text}; read its reason"
        return _error("bad request", message, words)
    message = f"the model server failed{text}; try again"
    return _error("server", message, words, retryable=True, retry_after_s=retry_after_s)


def unreadable(reason: str) -> ModelError:
    """An answer of status 200 that holds none."""
    return _error(
        "bad answer",
        "the model server answers in a form that cannot be read; check that OPENAI_BASE_URL is an "
        "OpenAI-compatible API",
        reason,
        retryable=True,
    )


def _error(
    kind: ErrorKind,
    message: str,
    words: str,
    *,
    retryable: bool = False,
    fatal: bool = False,
    retry_after_s: float | None = None,
) -> ModelError:
    made = {"rate limit": RateLimited, "loading": ModelLoading}.get(kind, ModelError)
    words = " ".join(visible(words).split())[:MAX_WORDS]
    text = f"{message}: {words}" if words else message
    return made(text, kind=kind, retryable=retryable, fatal=fatal, retry_after_s=retry_after_s)


def _out_of_credit(words: str, retry_after_s: float | None) -> bool:
    """True if waiting does not help: some providers use the same words for a limit that comes back."""
    return bool(_NO_CREDIT.search(words)) and retry_after_s is None and not _COMES_BACK.search(words)


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
    # The parameter is named beside the message by OpenAI (param) and by FastAPI (loc).
    place = body.get("loc")
    notes = [
        body.get("code"),
        body.get("param"),
        " ".join(map(str, place)) if isinstance(place, list) else None,
    ]
    named = [note for note in notes if isinstance(note, str) and note and note not in message]
    return f"{message} ({', '.join(named)})" if named else message


def as_body(error: ModelError) -> dict[str, Any]:
    """The body that carries `error` through the gateway."""
    carried = {
        "message": str(error),
        "type": _TYPE,
        "kind": error.kind,
        "retryable": error.retryable,
        "fatal": error.fatal,
        "retry_after_s": error.retry_after_s,
    }
    return {"error": carried}


def from_body(text: str) -> ModelError | None:
    """The error in `text`, if it is the body of one that came through an adapter."""
    try:
        carried = json.loads(text)["error"]
        if carried["type"] != _TYPE:
            return None
        made = {"rate limit": RateLimited, "loading": ModelLoading}.get(carried["kind"], ModelError)
        return made(
            str(carried["message"]),
            kind=carried["kind"],
            retryable=bool(carried["retryable"]),
            fatal=bool(carried["fatal"]),
            retry_after_s=carried["retry_after_s"],
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
