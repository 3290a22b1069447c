"""What a gateway says of itself when a call fails: it is away, refuses key or call, or its clock differs.

A gateway over HTTP that is restarted, and whatever stands before it, has many words for being away. None of
them is a reason to give a call up.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

from babyai_kit.configuration.proxies import unreachable
from babyai_kit.errors import GatewayAway, GatewayError, RateLimited, ServiceError

_CUT = re.compile(r"Error deserializing response: (error decoding response body|EOF while parsing)")
_OTHER_FORM = "Error deserializing response: "
_OTHER_STORE = re.compile(
    r"Error connecting to (Postgres|Valkey)|"
    r"(Database error|(Postgres|Valkey) query failed): .*(timed out|communicating|connect|terminating|shut)"
)
_VARIANTS = re.compile(r"All variants failed|No fallback variants")
"""The gateway's own 502, which is not a proxy's."""
_PROXY_STATUSES = {502, 503, 504, *range(520, 531)}
"""From what stands before a gateway that is away; 520 to 530 are Cloudflare's."""
_CLOCK = re.compile(r"\bID: Timestamp is (in the future|too early)")
_UNKNOWN = re.compile(r"\bUnknown (function|variant)\b|\bVariant \S+ for function \S+ not found")
_URL = re.compile(r"https?://[^\s()\"',]+")
_NO_EVALUATION = "Workflow evaluation run not found"


def gateway_error(text: str, status: int | None, *, own_words: bool) -> ServiceError:
    """The typed error for a call that the gateway itself failed or refused with `text`.

    `status`: of its HTTP answer, None without one. `own_words`: the text comes from the JSON of a gateway's
    error, and not from a page of something else.
    """
    away = _away(text, status)
    if away:
        return GatewayAway(f"{away}: {text}")
    if status in (401, 403):
        return key_refused(status, text)
    if status == 429:
        return RateLimited(f"the gateway limits the rate (429); lower the concurrency: {text}")
    if status == 408 or "timed out" in text or "timeout" in text.lower():
        return GatewayError(
            f"the gateway did not answer in time; try again: {text}", kind="timeout", retryable=True
        )
    if _CLOCK.search(text):
        return clocks_apart(text)
    if _OTHER_FORM in text:
        return GatewayError(
            "the gateway's answer cannot be read; check that TENSORZERO_GATEWAY_URL leads to a TensorZero "
            f"gateway: {text}",
            kind="bad answer",
            retryable=True,
        )
    if status is not None and status >= 500 and not own_words:
        return GatewayError(f"the gateway failed; read its log: {text}", kind="server", retryable=True)
    if _NO_EVALUATION in text:
        return GatewayError(
            "the gateway does not find this episode's workflow evaluation; check that it stores where it did "
            f"when the run began: {text}",
            kind="refused",
        )
    return GatewayError(
        f"the gateway refused the call; compare config/ with its own: {text}",
        kind="unknown function" if _UNKNOWN.search(text) else "refused",
    )


def key_refused(status: int, words: str) -> GatewayError:
    """The error for a gateway that itself answered 401 or 403, with these words."""
    return GatewayError(
        f"the gateway refused the key ({status}), which is not the model's; set TENSORZERO_API_KEY in .env: "
        f"{words}",
        kind="key refused",
        fatal=True,
    )


def clocks_apart(words: str, gateway_time: datetime | None = None) -> GatewayError:
    """The error for clocks so far apart that the gateway refuses what this machine dates.

    `gateway_time`: what the gateway's clock says now, if that is known.
    """
    there = f"the gateway's says {_utc(gateway_time)}" if gateway_time else "the gateway's is far from it"
    return GatewayError(
        f"this machine's clock says {_utc(datetime.now(timezone.utc))} and {there}, or one of them was set "
        f"back; set both clocks (timedatectl set-ntp true), then run again: {words}",
        kind="refused",
        fatal=True,
    )


def url_in(text: str) -> str:
    """The first URL in `text`, "" if there is none."""
    found = _URL.search(text)
    return found.group() if found else ""


def _away(text: str, status: int | None) -> str | None:
    """What to say of a gateway that is away for a while; None if `text` says something else."""
    if status is None and "error sending request" in text:
        return unreachable("the gateway", url_in(text))
    if status is None and _CUT.search(text):
        return "the gateway broke off its answer; check that it is running"
    if status is not None and _OTHER_STORE.search(text):
        return "the gateway cannot use a database of its own; check that it is running"
    if status in _PROXY_STATUSES and not _VARIANTS.search(text):
        return f"what stands before the gateway cannot reach it ({status}); check that it is running"
    return None


def _utc(time: datetime) -> str:
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
