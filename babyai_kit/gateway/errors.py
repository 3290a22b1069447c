"""What a gateway error means: whose it is, and whether trying again can help.

This is the wording of TensorZero 2026.6.0: every failure of a provider arrives as status 500, and only the
text tells it from the gateway's own.
"""

from __future__ import annotations

import json
import re

from babyai_kit.errors import ConfigError, GatewayError, ServiceError, StoreError
from babyai_kit.gateway.provider_errors import key_missing, provider_error
from babyai_kit.gateway.refusals import gateway_error
from babyai_kit.hostile_text import visible

_UPSTREAM = re.compile(r"All model providers failed to infer with errors: [^:]{1,200}: ")
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
        return provider_error(text[upstream.end() :])
    if missing := key_missing(text):
        return missing
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
        if missing := key_missing(message):
            return ConfigError(f"{message.partition('API key missing')[0]}{missing}")
        return ConfigError(f"the gateway refused the configuration; fix config/: {message}")
    if "ClickHouse" in text:
        return StoreError(
            "the gateway cannot use ClickHouse; check that it is running and that TENSORZERO_CLICKHOUSE_URL "
            f"is correct: {text}",
            kind="store",
        )
    return GatewayError(f"the gateway could not start; fix what it names: {text}", kind="gateway")
