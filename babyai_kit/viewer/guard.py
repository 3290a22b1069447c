"""Who may ask the viewer, every refusal as JSON, and the headers of every response."""

from __future__ import annotations

import hmac
import json
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from babyai_kit.configuration.loopback import foreign_reason
from babyai_kit.errors import InputError, KitError
from babyai_kit.hostile_text import one_line
from babyai_kit.viewer.app_files import policy

LOGGER = logging.getLogger(__name__)
MAX_MESSAGE = 500

NOTEBOOKS = "http://127.0.0.1:* http://localhost:*"
"""Whose pages may show the viewer in a frame: those of other ports of this machine."""


class Guard:
    """A middleware in front of all routes, whose paths begin with the secret `token`.

    `framed`: whether a notebook of this machine may show the viewer.
    """

    def __init__(self, token: str, *, framed: bool) -> None:
        self._token = token
        self.headers = {
            "Content-Security-Policy": policy(frame_ancestors=NOTEBOOKS if framed else "'none'"),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await self._answer(request, handler)
        if not response.prepared:
            response.headers.update(self.headers)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_page = request.path == f"/{self._token}/" and request.method in ("GET", "HEAD")
        if reason := foreign_reason(request, linked=is_page):
            return refusal(403, f"{reason}; open the address that the command printed")
        token = request.path.split("/")[1]
        if not hmac.compare_digest(token.encode(errors="replace"), self._token.encode()):
            return refusal(
                404, "this address lacks the viewer's token; open the address that the command printed"
            )
        try:
            return await handler(request)
        except InputError as error:
            return refusal(404, str(error))
        except KitError as error:
            return refusal(422, str(error))
        except (HttpProcessingError, web.RequestPayloadError):
            return refusal(400, "the request is malformed; reload the page")
        except web.HTTPMethodNotAllowed as error:
            methods = ", ".join(sorted(error.allowed_methods))
            return refusal(405, f"this address takes {methods} only; reload the page", Allow=methods)
        except web.HTTPException as error:
            return refusal(error.status, f"there is no such page ({error.reason}); reload the viewer")
        except ConnectionError:  # the browser has gone
            raise
        except Exception as error:
            LOGGER.exception("%s failed", request.method)
            return refusal(500, f"the viewer failed ({type(error).__name__}); its output says why")


def refusal(status: int, message: str, **headers: str) -> web.Response:
    """An error as the application reads it."""
    body = json.dumps({"error": one_line(message, MAX_MESSAGE)})
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)
