"""Who may use the server: no foreign web page, and nobody without user and password."""

from __future__ import annotations

import base64
import hmac

from aiohttp import web

from babyai_kit.configuration.addresses import CLICKHOUSE_USER
from babyai_kit.configuration.loopback import foreign_reason
from babyai_kit.local.clickhouse.http_errors import RequestError


def check_origin(request: web.Request) -> None:
    """Refuse what is not meant for this machine, and other sites' pages."""
    reason = foreign_reason(request)
    if reason is not None:
        raise RequestError(403, 497, "ACCESS_DENIED", reason)


def check_password(request: web.Request, password: str) -> None:
    """Refuse a request without the right user and password, sent in any of ClickHouse's three ways."""
    user, given = _credentials(request)
    # Both are compared, always and in constant time, so that the time of the response reveals nothing.
    right_user = hmac.compare_digest(user.encode("utf-8", "surrogateescape"), CLICKHOUSE_USER.encode())
    right_password = hmac.compare_digest(given.encode("utf-8", "surrogateescape"), password.encode())
    if not (right_user & right_password):
        reason = "Authentication failed: password is incorrect, or there is no such user"
        raise RequestError(401, 516, "AUTHENTICATION_FAILED", reason)


def _credentials(request: web.Request) -> tuple[str, str]:
    headers = request.headers
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    if "Authorization" in headers:
        scheme, _, encoded = headers["Authorization"].partition(" ")
        try:
            user, _, given = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return (user, given) if scheme.lower() == "basic" else ("", "")
    return request.query.get("user", ""), request.query.get("password", "")
