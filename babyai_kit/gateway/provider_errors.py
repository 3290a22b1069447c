"""What the gateway says when a model's provider fails: which one, with what status, in what words.

Where the kit's adapter stands between gateway and model server, it says what failed. Else the gateway's
prefix tells the status; where it does not, the provider's own error body may. A wait that a provider asks
for in a header is never told.
"""

from __future__ import annotations

import json
import re
from typing import Any

from babyai_kit.configuration.proxies import unreachable
from babyai_kit.configuration.remedies import ELSEWHERE, Remedies, remedies_of
from babyai_kit.errors import ModelError
from babyai_kit.gateway.refusals import url_in
from babyai_kit.hostile_text import visible
from babyai_kit.local.adapter.failures import failure_of, from_body, unreadable
from babyai_kit.local.adapter.words import error_in, server_words

_CLIENT = re.compile(r"Error (?:(?P<status>\d{3}) [^:]*? )?from (?P<type>\S+) client: ")
_SERVER = re.compile(r"Error from (?P<type>\S+) server: ")
_AWS_STATUS = re.compile(r"AWS \w+ returned error status (\d{3})[^:]*: ")
_TIMEOUT = re.compile(r"(Model provider \S+ timed out|Variant \S+ timed out)")
_CONNECTION = re.compile(r"Error sending request")
_UNREADABLE = re.compile(r"Error parsing (JSON )?response")
_REQUEST_ID = re.compile(r" \[request_id: [^\]]*\]$")
"""What the gateway adds to the bodies of OpenAI."""
_KEY_MISSING = re.compile(
    r"API key missing for provider (?P<provider>[^:]+): (?:Environment variable `(?P<key>[^`]+)`)?"
)
_NO_AWS = re.compile(r"Failed to (get AWS credentials|determine AWS region)")
_MAX_SHOWN = 200
"""Characters of the gateway's own text in a message."""

_STATUSES = {
    # Anthropic. Source: https://platform.claude.com/docs/en/api/errors
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    # Of OpenAI's form: the code of a model that is not there, then the type of any wrong request.
    "model_not_found": 404,
    "model_not_available": 404,
    "NOT_FOUND": 404,
    "invalid_request_error": 400,
}
"""By the code or the type of an error, what its status was."""


def provider_error(detail: str) -> ModelError:
    """The typed error for what the gateway says of a provider's failure (not yet redacted)."""
    if client := _CLIENT.match(detail):
        remedies, body = _remedies(client["type"]), detail[client.end() :]
        if _CONNECTION.match(body):
            return _not_reached(detail)
        if _NO_AWS.match(body):
            return _no_key("AWS has no credentials or no region; set them as AWS's tools want them", body)
        if client["status"]:
            return from_body(body) or _failure(int(client["status"]), body, remedies)
        return _not_asked(body)
    if _TIMEOUT.match(detail):
        return ModelError(
            "the model did not answer in time; set a longer AGENT_TIMEOUT_MS or lower the concurrency: "
            f"{detail[:_MAX_SHOWN]}",
            kind="timeout",
            retryable=True,
        )
    if missing := key_missing(detail):
        return missing
    if detail.startswith("Cannot specify both"):
        return _not_asked(detail)
    server = _SERVER.match(detail)
    if server is None:
        return failure_of(None, _words(detail))
    return _server_failure(detail[server.end() :], server["type"], detail)


def key_missing(text: str) -> ModelError | None:
    """The error for a provider whose key the gateway has not; None if `text` says something else."""
    match = _KEY_MISSING.search(text)
    if match is None:
        return None
    remedy = f"set {match['key']} in .env" if match["key"] else "see api_key_location in config/models.toml"
    return _no_key(f"the gateway has no key for {match['provider']}; {remedy}, then run again")


def _server_failure(body: str, provider_type: str, detail: str) -> ModelError:
    remedies = _remedies(provider_type)
    if _CONNECTION.match(body):
        return _not_reached(detail)
    if aws := _AWS_STATUS.match(body):
        return _failure(int(aws[1]), body[aws.end() :], remedies)
    if _UNREADABLE.match(body):
        if "missing field `candidates`" in body:
            # Google's answer to a prompt that it blocks has none.
            return failure_of(400, "the prompt was blocked by a content filter", remedies=remedies)
        _, found, answer = body.partition(": {")
        if found and error_in(_parsed(f"{{{answer}")).get("type") in _STATUSES:
            return _failure(None, f"{{{answer}", remedies)
        return unreadable(body, remedies=remedies)
    return _failure(None, body, remedies)


def _failure(status: int | None, body: str, remedies: Remedies) -> ModelError:
    """The failure of which the provider says `body`; a status that is not told is looked for there."""
    body = _REQUEST_ID.sub("", body)
    if status is None:
        status = _status_in(_parsed(body))
    return failure_of(status, _words(body), remedies=remedies)


def _status_in(body: Any) -> int | None:
    """The status that an error's body tells: as a number, by Google and OpenRouter, or by a known name."""
    error = error_in(body)
    code = error.get("code")
    if isinstance(code, (int, str)) and re.fullmatch(r"[45]\d\d", str(code)):
        return int(code)
    names = (name for name in (code, error.get("type")) if isinstance(name, str))
    return next((_STATUSES[name] for name in names if name in _STATUSES), None)


def _remedies(provider_type: str) -> Remedies:
    """OpenAI's type is what the adapter, and with it the server of the settings, is asked as."""
    return ELSEWHERE if provider_type == "openai" else remedies_of(provider_type)


def _not_reached(detail: str) -> ModelError:
    return ModelError(
        f"{unreachable('the model server', url_in(detail))}: {detail[:_MAX_SHOWN]}",
        kind="connection",
        retryable=True,
    )


def _not_asked(reason: str) -> ModelError:
    """What the gateway does not even send."""
    reason = visible(reason[:_MAX_SHOWN])
    return ModelError(
        f"the gateway cannot ask the provider this; change what it names: {reason}", kind="bad request"
    )


def _no_key(message: str, words: str = "") -> ModelError:
    text = f"{message}: {visible(words[:_MAX_SHOWN])}" if words else message
    return ModelError(text, kind="key refused", fatal=True)


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _words(body: str) -> str:
    """What a provider's error says, in its own words."""
    return server_words(_parsed(body), body)
