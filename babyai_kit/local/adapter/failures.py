"""What a model server's failure means: whose it is, whether to try again, and when.

Decided by the status, and by the server's words where one status means several things. A failure travels
through the gateway as the body of an answer with status 400, the one kind that the gateway repeats whole.
"""

from __future__ import annotations

import json
import re
from typing import Any

from babyai_kit.configuration.remedies import OF_SETTINGS, Remedies
from babyai_kit.errors import ErrorKind, ModelError, ModelLoading, RateLimited
from babyai_kit.hostile_text import visible
from babyai_kit.local.adapter.words import MAX_WORDS
from babyai_kit.waiting_times import seconds_in

_TYPE = "babyai_kit_adapter"


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_NO_CREDIT = _pattern(
    r"insufficient.{0,3}(quota|balance|funds|credit)",
    r"(out of|used all|no|any|more|purchase) (\w+ )?credits?\b(?! were)",
    r"credit (balance|limit)|credits? (\w+ )?(exhausted|depleted)",
    r"(billing|spend(ing)?|budget)[ _](hard[ _])?limit|over budget|budget.{1,10}exceeded",
    r"billing.not.active|requires billing|payment required|arrearage|reached your .{0,20}usage limits?",
    r"suspended.{0,80}(billing|pay|spending)",
    r"exceeded your current quota.{0,40}billing",
)
_BAD_KEY = _pattern(
    r"api.?key.{0,12}(not valid|invalid|expired)|(invalid|incorrect|missing|expired).{0,6}api.?key"
)
_FILTERED = _pattern(
    r"content.?(filter|policy|management policy)|responsible.?ai.?policy|usage polic(y|ies)|invalid_prompt",
    r"content exists risk|data_?inspection_?failed|(input|prompt) was flagged|requires moderation",
)
_TOO_LONG = _pattern(
    r"context.{0,8}(length|window|size)|(prompt|input) is too long|too many (input )?tokens",
    r"max(_completion)?_tokens\W.{0,40}too (large|long)",
)
_UNKNOWN_MODEL = _pattern(
    r"model\b.{0,60}\b((is )?not found|(does|do)(n't| not) exist|not exist|not a valid)",
    r"(invalid|unknown|no such) model\b|model identifier is invalid|not a valid model",
)
_NO_ROUTE = _pattern(r"no endpoints found that")
"""By OpenRouter: the model is known, and nobody takes all of the request's parameters for it."""
_RATE = _pattern(r"rate.?limit|too many requests|resource.?exhausted")
_OVERLOADED = _pattern(
    r"overload|\bbusy\b|\bcapacity\b|too many|pending requests|queue (is )?full|slots? (un|not )available"
)
_LOADING = _pattern(
    r"\b(loading|load(ed)? yet|warming up|starting up|still starting|not (yet )?ready|initiali[sz]ing)\b",
    r"\bscal(ed to zero|ing up)\b|\bcold.?start",
)
_CANNOT_LOAD = _pattern(r"\b(error|fail(ed|ure)?|unable|could not|cannot|can't)\b.{0,20}\bload")
_NOT_LOADED = _pattern(r"model (\w+ )?(unloaded|crashed)|no models? .{0,20}loaded")
_COMES_BACK = _pattern(r"(retry|try again|retry.?delay).{0,20}\d")

_WRONG_REQUEST = {*range(400, 408), *range(410, 418), 421, 422, 426, 428, 431, 451, 501, 505}
"""Statuses that say the same whenever the same is asked."""


def failure_of(
    status: int | None,
    words: str,
    *,
    retry_after_s: float | None = None,
    remedies: Remedies = OF_SETTINGS,
) -> ModelError:
    """The typed error for an answer with `status` (None: unknown, 500 or more or one that the gateway does
    not tell), the server's `words` and its Retry-After, if any. Its message ends with one of `remedies`."""
    text = f" ({status})" if status else ""
    refused = status in (400, 403, 412, 413, 422)
    asked_s = seconds_in(words) if retry_after_s is None else retry_after_s
    if refused and is_filtered(words):
        message = f"the content filter of the model server refused the prompt{text}; read its reason"
        return _error("bad request", message, words)
    if refused and _TOO_LONG.search(words):
        message = (
            f"prompt and answer do not fit the model's context{text}; lower --max-tokens or serve the model "
            "with a longer context"
        )
        return _error("bad request", message, words)
    if status == 402 or (
        (refused or status in (None, 429)) and _NO_CREDIT.search(words) and not _comes_back(words, asked_s)
    ):
        return _error(
            "quota",
            f"the account at the model server is out of credit{text}; add credit or check the billing there, "
            "then run again",
            words,
            fatal=True,
        )
    if status in (401, 403) or (refused and _BAD_KEY.search(words)):
        which = "" if status != 403 else " to one that may use this model, or read why"
        return _error(
            "key refused",
            f"the model server refused the key{text}; {remedies.key}{which}",
            words,
            fatal=True,
        )
    if status in (429, 498, 529) or (status is None and _RATE.search(words)):
        message = f"the model server limits the rate{text}; lower the concurrency or the requests per minute"
        return _error("rate limit", message, words, retryable=True, retry_after_s=asked_s)
    if (status or 500) >= 500 and status != 501 and _OVERLOADED.search(words):
        message = f"the model server is overloaded{text}; lower the concurrency or run again later"
        return _error("rate limit", message, words, retryable=True, retry_after_s=asked_s)
    if _is_loading(status or 500, words):
        message = f"the model server is loading the model{text}; it is waited for"
        return _error("loading", message, words, retryable=True, retry_after_s=asked_s)
    if status in (408, 504, 524):
        return _error(
            "timeout",
            f"the model server gave up waiting for an answer{text}; try again or lower the concurrency",
            words,
            retryable=True,
            retry_after_s=retry_after_s,
        )
    return _failed(status or 500, text, words, asked_s, remedies)


def is_filtered(words: str) -> bool:
    """True if a content filter refused this prompt, and not an account."""
    return bool(_FILTERED.search(words)) and not re.search(r"\b(your account|organi[sz]ation)\b", words, re.I)


def _failed(status: int, text: str, words: str, asked_s: float | None, remedies: Remedies) -> ModelError:
    no_route = status == 404 and _NO_ROUTE.search(words)
    if remedies.hosted and not no_route and (status == 404 or _is_unknown_model(status, words)):
        message = f"the provider does not know the model{text}; {remedies.name}"
        return _error("bad request", message, words, fatal=True)
    if status in (404, 405) and not no_route:
        message = f"the model server does not know the model or the address{text}; {remedies.name}"
        return _error("server", message, words, retryable=True)
    if 300 <= status < 400:
        message = f"the model server is at another address{text}; {remedies.address}"
        return _error("bad request", message, words, fatal=True)
    if status in _WRONG_REQUEST and not _NOT_LOADED.search(words):
        message = f"the model server refused the request{text}; read its reason"
        return _error("bad request", message, words)
    message = f"the model server failed{text}; try again"
    return _error("server", message, words, retryable=True, retry_after_s=asked_s)


def _is_unknown_model(status: int, words: str) -> bool:
    return status in (400, 422) and bool(_UNKNOWN_MODEL.search(words))


def unreadable(reason: str, *, remedies: Remedies = OF_SETTINGS) -> ModelError:
    """An answer of status 200 that holds none."""
    return _error(
        "bad answer",
        f"the model server answers in a form that cannot be read; {remedies.form}",
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


def _comes_back(words: str, retry_after_s: float | None) -> bool:
    """True if waiting helps: some providers use the words for a spent account for a limit that comes back."""
    return retry_after_s is not None or bool(_COMES_BACK.search(words))


def _is_loading(status: int, words: str) -> bool:
    return (
        (status >= 500 or status in (409, 424, 425))
        and bool(_LOADING.search(words))
        and not _CANNOT_LOAD.search(words)
    )


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
