"""The routes of the HTTP interface, the checks that every request passes, and the form of its errors."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from babyai_kit.local.clickhouse.access import check_origin, check_password
from babyai_kit.local.clickhouse.connection import EngineError
from babyai_kit.local.clickhouse.data_directory import ServerState
from babyai_kit.local.clickhouse.engine import Engine
from babyai_kit.local.clickhouse.http_errors import RequestError, error_response
from babyai_kit.local.clickhouse.query_handler import QueryHandler
from babyai_kit.local.clickhouse.query_request import read_request
from babyai_kit.local.clickhouse.statement_filter import ForbiddenStatement
from babyai_kit.local.http.connections import HttpConnections
from babyai_kit.local.http.malformed import BAD_REQUESTS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpInterface:
    """The aiohttp application of one server."""

    def __init__(self, engine: Engine, state: ServerState, password: str, spool_dir: Path) -> None:
        self._state = state
        self._password = password
        self._spool_dir = spool_dir
        self._queries = QueryHandler(engine)
        self.connections = HttpConnections()
        self.stop_requested = asyncio.Event()
        """Set when a client that knows the password asks the server to end."""
        self.application = web.Application(middlewares=[self._guard])
        self.application.router.add_get("/ping", self._ping)
        self.application.router.add_get("/_kit", self._identity)
        self.application.router.add_post("/_kit/stop", self._stop)
        self.application.router.add_route("*", "/{database:[^/]*}", self._query)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check_origin(request)
            if not _is_ping(request):
                check_password(request, self._password)
                self.connections.recognize(request)
            return await handler(request)
        except RequestError as error:
            return error_response(str(error), error.status)
        except (EngineError, ForbiddenStatement) as error:
            return error_response(str(error))
        except web.HTTPException as error:
            text = f"Code: 48. DB::Exception: {error.reason}. (NOT_IMPLEMENTED)"
            return error_response(text, error.status)
        except BAD_REQUESTS:
            text = "Code: 36. DB::Exception: the body of the request is malformed. (BAD_ARGUMENTS)"
            return error_response(text, 400)
        except ConnectionError:
            raise
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__} in the server; see its log"
            return error_response(f"Code: 1002. DB::Exception: {reason}. (UNKNOWN_EXCEPTION)", 500)

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _identity(self, request: web.Request) -> web.Response:
        state = self._state
        return web.json_response({"instance": state.instance, "pid": state.pid, "version": state.version})

    async def _stop(self, request: web.Request) -> web.Response:
        self.stop_requested.set()
        return web.Response(text="Ok.\n")

    async def _query(self, request: web.Request) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD", "POST"):
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "POST"])
        if _is_ping(request):
            return await self._ping(request)
        started = time.perf_counter()
        query = await read_request(request, self._spool_dir, request.match_info["database"] or "default")
        return await self._queries.respond(request, query, started)


def _is_ping(request: web.Request) -> bool:
    """As in ClickHouse, `/ping` and a bare `/` tell anybody that the server is there, and nothing else."""
    bare = request.path == "/" and not request.query_string and request.method in ("GET", "HEAD")
    return bare or request.path == "/ping"
