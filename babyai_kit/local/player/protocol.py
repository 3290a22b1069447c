"""What all routes of the server share of OpenAI's API: errors, JSON bodies, and lists a page at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from babyai_kit.local.http.malformed import LOGGER

API_BASES = ("/v1", "/openai")
"""Paths under which OpenAI's routes are served. The second is where a TensorZero gateway sends what is meant
for OpenAI if its internal variable TENSORZERO_INTERNAL_MOCK_PROVIDER_API names this server."""


class ProtocolError(Exception):
    """An answer with an HTTP error status, in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, headers or {}

    def body(self) -> dict[str, Any]:
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def server_failure(http: web.Request, error: Exception) -> ProtocolError:
    """What a client is told of an `error` within the server; the log has the rest."""
    LOGGER.error("%s %s failed", http.method, http.path, exc_info=error)
    message = f"The server failed ({type(error).__name__}); its output says why."
    return ProtocolError(500, message, code="server_error")


def parse_object(raw: bytes) -> dict[str, Any]:
    """A request body as a JSON object. Raises ProtocolError (400)."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ProtocolError(400, "The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ProtocolError(400, "The request body must be a JSON object.")
    return body


def page(
    objects: Sequence[dict[str, Any]], query: Mapping[str, str], *, default_limit: int, max_limit: int
) -> dict[str, Any]:
    """The page of `objects` (in listing order, each with an `id`) that the parameters of `query` select:
    `limit` objects after the one whose id is `after`.

    Raises ProtocolError (400) for a limit outside 1 to `max_limit` or an `after` that is not in the list.
    """
    limit = _read_limit(query.get("limit", str(default_limit)), max_limit)
    start = 0
    if after := query.get("after"):
        ids = [entry["id"] for entry in objects]
        if after not in ids:
            raise ProtocolError(400, f"Invalid 'after': no object {after} in this list.", param="after")
        start = ids.index(after) + 1
    data = list(objects[start : start + limit])
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": start + limit < len(objects),
    }


def _read_limit(text: str, max_limit: int) -> int:
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if not 1 <= limit <= max_limit:
        raise ProtocolError(
            400, f"Invalid 'limit': expected an integer from 1 to {max_limit}.", param="limit"
        )
    return limit
