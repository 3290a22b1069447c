"""What a gateway error means: whose it is, and whether trying again can help.

This is the wording of TensorZero 2026.6.0: every upstream failure arrives as status 500, and only the text
tells them apart. Where the kit's adapter stands between gateway and model server, it says what failed; else
the gateway's prefix tells the status, and of the server's own words only what failures of one status mean.
"""

from __future__ import annotations

import json
import re

from babyai_kit.configuration.proxies import unreachable
from babyai_kit.errors import ConfigError, GatewayError, ModelError, ServiceError, StoreError
from babyai_kit.gateway.refusals import gateway_error, url_in
from babyai_kit.hostile_text import visible
from babyai_kit.local.adapter.failures import failure_of, from_body, unreadable
from babyai_kit.local.adapter.words import server_words

_UPSTREAM = re.compile(r"All model providers failed to infer with errors: [\w-]+: ")
_STATUS = re.compile(r"Error (\d{3}) [^:]*? from \S+ client: ")
_TIMEOUT = re.compile(r"(Model provider \S+ timed out|Variant \S+ timed out)")
_CONNECTION = re.compile(r"Error from \S+ client: Error sending request")
_SERVER = re.compile(r"Error from \S+ server: ")
_UNREADABLE = re.compile(r"Error parsing (JSON )?response")
_MAX_SHOWN = 200
"""Characters of the gateway's own text in a message."""


def call_error(text: str, status: int | None) -> ServiceError:
    """The typed error for a call that failed with `text`, and an HTTP status if there was one.

    Its message is one line (not yet redacted).
    """
    said = " ".join(text.split())
    text = " ".join(_own_words(text).split())
    upstream = _UPSTREAM.search(text)
    if upstream:
        return _model_error(text[upstream.end() :])
    excerpt = visible(text[:_MAX_SHOWN])
    if "ClickHouse" in text:
        return StoreError(
            f"the gateway could not use ClickHouse; check that it is running: {excerpt}",
            kind="store",
            retryable=True,
        )
    return gateway_error(excerpt, status, own_words=text != said)


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
    match = _STATUS.match(detail)
    if match:
        body = detail[match.end() :]
        return from_body(body) or failure_of(int(match.group(1)), _words(body))
    excerpt = detail[:_MAX_SHOWN]
    if _TIMEOUT.match(detail):
        return ModelError(
            "the model did not answer in time; set a longer AGENT_TIMEOUT_MS or lower the concurrency: "
            f"{excerpt}",
            kind="timeout",
            retryable=True,
        )
    if _CONNECTION.match(detail):
        return ModelError(
            f"{unreachable('the model server', url_in(detail))}: {excerpt}",
            kind="connection",
            retryable=True,
        )
    server = _SERVER.match(detail)
    body = detail[server.end() :] if server else detail
    if server and _UNREADABLE.match(body):
        return unreadable(body)
    return failure_of(None, _words(body))


def _words(body: str) -> str:
    """What a model server's error says, in its own words."""
    try:
        return server_words(json.loads(body), body)
    except (ValueError, RecursionError):
        return server_words(None, body)
