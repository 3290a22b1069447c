"""The HTTP interface: who may come in, which door leads where, and how errors look.

Knows routes, checks and error answers; what a statement does is `answers`'.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from babyai_kit.local.clickhouse.engine import Engine, EngineError
from babyai_kit.local.clickhouse.gate import Forbidden
from babyai_kit.local.clickhouse.http_statuses import http_status
from babyai_kit.local.clickhouse.request import Refused, check_origin, check_password, read_request
from babyai_kit.local.clickhouse.responses import Answers
from babyai_kit.local.clickhouse.state import ServerState

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class App:
    """The handlers, with what they share."""

    def __init__(self, engine: Engine, state: ServerState, password: str, spool_dir: Path) -> None:
        self._state = state
        self._password = password
        self._spool_dir = spool_dir
        self._answers = Answers(engine)
        self.stop = asyncio.Event()
        """Set when a user with the password asked the server to end."""

    def build(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/ping", self._ping)
        application.router.add_get("/_kit", self._kit)
        application.router.add_post("/_kit/stop", self._stop)
        application.router.add_route("*", "/{database:[^/]*}", self._query)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check_origin(request)
            if not _is_ping(request):
                check_password(request, self._password)
            return await handler(request)
        except Refused as refused:
            return _error(str(refused), refused.status)
        except (EngineError, Forbidden) as error:
            return _error(str(error))
        except web.HTTPException as error:
            return _error(f"Code: 48. DB::Exception: {error.reason}. (NOT_IMPLEMENTED)", error.status)
        except ConnectionError:
            raise
        except Exception as error:
            traceback.print_exc()
            name = type(error).__name__
            return _error(
                f"Code: 1002. DB::Exception: {name} in the server; see its log. (UNKNOWN_EXCEPTION)", 500
            )

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _kit(self, request: web.Request) -> web.Response:
        state = self._state
        return web.json_response({"instance": state.instance, "pid": state.pid, "version": state.version})

    async def _stop(self, request: web.Request) -> web.Response:
        self.stop.set()
        return web.Response(text="Ok.\n")

    async def _query(self, request: web.Request) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD", "POST"):
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "POST"])
        if _is_ping(request):
            return await self._ping(request)
        started = time.perf_counter()
        asked = await read_request(request, self._spool_dir, request.match_info["database"] or "default")
        try:
            return await self._answers.answer(request, asked, started)
        finally:
            asked.close()


def _is_ping(request: web.Request) -> bool:
    """As in ClickHouse, `/ping` and a bare `/` tell anybody that the server is there, and nothing else."""
    bare = request.path == "/" and not request.query_string and request.method in ("GET", "HEAD")
    return bare or request.path == "/ping"


def _error(text: str, status: int | None = None) -> web.Response:
    code = EngineError(text).code
    response = web.Response(
        status=status or http_status(code),
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
        # What is left of a refused body is not read.
        response.force_close()
    return response
