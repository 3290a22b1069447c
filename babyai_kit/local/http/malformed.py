"""Malformed requests: their errors, and a log without them."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

BAD_REQUESTS = (HttpProcessingError, web.RequestPayloadError)
"""What reading a malformed request or body raises."""


def has_malformed_header(request: web.BaseRequest) -> bool:
    """True if a header is not UTF-8: aiohttp and the engine would fail at the first use of such a text."""
    try:
        for name, value in request.headers.items():
            (name + value).encode()
    except UnicodeEncodeError:
        return True
    return False


class _WithoutBadRequests(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], BAD_REQUESTS))


LOGGER = logging.getLogger(__name__)
"""For aiohttp, which would log a traceback for every malformed request."""
LOGGER.addFilter(_WithoutBadRequests())
