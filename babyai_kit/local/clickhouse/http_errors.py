"""Errors as ClickHouse's HTTP interface reports them: status, code in a header, text in the body."""

from __future__ import annotations

from aiohttp import web

from babyai_kit.local.clickhouse.connection import EngineError

_CODES_BY_STATUS = {
    404: (46, 47, 60, 79, 81, 141, 482),
    403: (164, 291, 452, 497, 692),
    400: (
        6, 26, 27, 33, 36, 38, 39, 41, 42, 43, 44, 50, 53, 62, 63, 69, 70, 72, 73, 115, 117, 130, 131, 190,
        321, 349, 354, 376, 441, 456, 457, 467, 469, 636,
    ),
    401: (192, 193, 194, 516),
    413: (307,),
    408: (159, 209),
    501: (1, 48, 344),
    503: (202, 203, 241, 243),
}  # fmt: skip
"""As ClickHouse's own server responds; every other code is a 500."""

_STATUS_BY_CODE = {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes}


class RequestError(Exception):
    """A request that is refused before the engine sees it."""

    def __init__(self, status: int, code: int, name: str, reason: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {reason}. ({name})")
        self.status = status


def error_response(text: str, status: int | None = None) -> web.Response:
    """The response for an error `text` in ClickHouse's form.

    `status`: given if the request was refused; its body may be unread then, so the connection is closed.
    """
    code = EngineError(text).code
    response = web.Response(
        status=status or _STATUS_BY_CODE.get(code, 500),
        body=(text.rstrip() + "\n").encode("utf-8", "replace"),
        headers={
            "X-ClickHouse-Exception-Code": str(code),
            "X-ClickHouse-Summary": "{}",
            "Content-Type": "text/plain; charset=UTF-8",
        },
    )
    if code == 516:
        response.headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    if status is not None:
        response.force_close()
    return response
