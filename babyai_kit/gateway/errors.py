"""What a gateway error means: whose it is, and whether trying again can help.

Knows the wording of TensorZero 2026.6.0; every upstream failure arrives as status 500, and only the
text tells them apart. Only the prefix that the gateway writes is parsed, never the body that a model
server sent, since that can say anything.
"""

from __future__ import annotations

import re

from babyai_kit.errors import GatewayError, ModelError, ServiceError, StoreError
from babyai_kit.gateway.tensorzero_client import BaseTensorZeroError, TensorZeroError

_UPSTREAM = re.compile(r"All model providers failed to infer with errors: [\w-]+: ")
_STATUS = re.compile(r"Error (\d{3}) [^:]*? from \S+ client")
_TIMEOUT = re.compile(r"(Model provider \S+ timed out|Variant \S+ timed out)")
_CONNECTION = re.compile(r"Error from \S+ client: Error sending request")
_BODY_SHOWN = 200


def understand(error: BaseTensorZeroError) -> ServiceError:
    """The typed error for what the gateway raised; its message is one line (not yet redacted)."""
    text = " ".join(str(error).split())
    upstream = _UPSTREAM.search(text)
    if upstream:
        return _model_error(text[upstream.end() :])
    shown = text[:_BODY_SHOWN]
    status = error.status_code if isinstance(error, TensorZeroError) else None
    if "ClickHouse" in text:
        return StoreError(
            f"the gateway could not use ClickHouse; see that it runs: {shown}",
            kind="store",
            retryable=True,
        )
    if status == 408 or "timed out" in text or "timeout" in text.lower():
        return GatewayError(
            f"the gateway did not answer in time; try again: {shown}",
            kind="timeout",
            retryable=True,
        )
    if status in (502, 503, 504) or (status is None and "error sending request" in text):
        return GatewayError(
            f"the gateway cannot be reached; see that it runs: {shown}",
            kind="gateway",
            retryable=True,
        )
    return GatewayError(f"the gateway refused the call; compare config/ with it: {shown}", kind="refused")


def _model_error(detail: str) -> ModelError:
    shown = detail[:_BODY_SHOWN]
    if _TIMEOUT.match(detail):
        return ModelError(
            f"the model did not answer in time; try again or lower the concurrency: {shown}",
            kind="timeout",
            retryable=True,
        )
    found = _STATUS.match(detail)
    status = int(found.group(1)) if found else None
    if status in (401, 403):
        return ModelError(
            f"the model server refused the key ({status}); set OPENAI_API_KEY in .env: {shown}",
            kind="key refused",
            fatal=True,
        )
    if status == 429:
        return ModelError(
            f"the model server limits the rate (429); lower the concurrency: {shown}",
            kind="rate limit",
            retryable=True,
        )
    if status == 400:
        return ModelError(
            f"the model server refused the request (400); see its reason: {shown}",
            kind="bad request",
        )
    if _CONNECTION.match(detail):
        return ModelError(
            f"the model server cannot be reached; see that it runs: {shown}",
            kind="connection",
            retryable=True,
        )
    return ModelError(f"the model server failed; try again: {shown}", kind="server", retryable=True)
