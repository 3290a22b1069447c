"""What a gateway error means: whose it is, and whether trying again can help.

This is the wording of TensorZero 2026.6.0: every upstream failure arrives as status 500, and only the text
tells them apart. Only the prefix that the gateway writes is parsed, never the body that a model server sent,
since that can say anything.
"""

from __future__ import annotations

import json
import re

from babyai_kit.errors import ConfigError, GatewayError, ModelError, RateLimited, ServiceError, StoreError

_UPSTREAM = re.compile(r"All model providers failed to infer with errors: [\w-]+: ")
_STATUS = re.compile(r"Error (\d{3}) [^:]*? from \S+ client")
_TIMEOUT = re.compile(r"(Model provider \S+ timed out|Variant \S+ timed out)")
_CONNECTION = re.compile(r"Error from \S+ client: Error sending request")
_UNKNOWN = re.compile(r"\bUnknown (function|variant)\b")
_MAX_SHOWN = 200
"""Characters of the gateway's own text in a message."""


def call_error(text: str, status: int | None) -> ServiceError:
    """The typed error for a call that failed with `text`, and an HTTP status if there was one.

    Its message is one line (not yet redacted).
    """
    text = " ".join(_own_words(text).split())
    upstream = _UPSTREAM.search(text)
    if upstream:
        return _model_error(text[upstream.end() :])
    excerpt = text[:_MAX_SHOWN]
    if "ClickHouse" in text:
        return StoreError(
            f"the gateway could not use ClickHouse; check that it is running: {excerpt}",
            kind="store",
            retryable=True,
        )
    if status == 408 or "timed out" in text or "timeout" in text.lower():
        return GatewayError(
            f"the gateway did not answer in time; try again: {excerpt}", kind="timeout", retryable=True
        )
    if status in (502, 503, 504) or (status is None and "error sending request" in text):
        return GatewayError(
            f"the gateway cannot be reached; check that it is running: {excerpt}",
            kind="gateway",
            retryable=True,
        )
    return GatewayError(
        f"the gateway refused the call; compare config/ with its own: {excerpt}",
        kind="unknown function" if _UNKNOWN.search(text) else "refused",
    )


def _own_words(text: str) -> str:
    """What the gateway says inside the JSON of its error; `text` itself if it is of another form."""
    try:
        return str(json.loads(text[text.index("{") :])["error"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return text


def start_error(text: str) -> ServiceError | ConfigError:
    """The typed error for a gateway that could not start (not yet redacted)."""
    text = " ".join(text.split())
    if "ConfigParsing" in text or "Config {" in text:
        message = text.split('message: "', 1)[-1].split('" }', 1)[0]
        return ConfigError(f"the gateway refused the configuration; fix config/: {message}")
    if "ClickHouse" in text:
        return StoreError(
            "the gateway cannot use ClickHouse; check that it is running and that TENSORZERO_CLICKHOUSE_URL "
            f"is correct: {text}",
            kind="store",
        )
    return GatewayError(f"the gateway could not start; fix what it names: {text}", kind="gateway")


def _model_error(detail: str) -> ModelError:
    excerpt = detail[:_MAX_SHOWN]
    if _TIMEOUT.match(detail):
        return ModelError(
            f"the model did not answer in time; try again or lower the concurrency: {excerpt}",
            kind="timeout",
            retryable=True,
        )
    match = _STATUS.match(detail)
    status = int(match.group(1)) if match else None
    if status in (401, 403):
        return ModelError(
            f"the model server refused the key ({status}); set OPENAI_API_KEY in .env: {excerpt}",
            kind="key refused",
            fatal=True,
        )
    if status == 429:
        return RateLimited(f"the model server limits the rate (429); lower the concurrency: {excerpt}")
    if status == 400:
        return ModelError(
            f"the model server refused the request (400); read its reason: {excerpt}", kind="bad request"
        )
    if _CONNECTION.match(detail):
        return ModelError(
            f"the model server cannot be reached; check that it is running: {excerpt}",
            kind="connection",
            retryable=True,
        )
    return ModelError(f"the model server failed; try again: {excerpt}", kind="server", retryable=True)
