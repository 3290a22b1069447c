"""What the viewer answers at which address. Everything that blocks runs in a thread."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from aiohttp import web

from babyai_kit.errors import InputError
from babyai_kit.viewer.app_files import TYPES, app_file, index_page
from babyai_kit.viewer.comparison import Side
from babyai_kit.viewer.library import Library
from babyai_kit.viewer.live import Watch


class Routes:
    """The addresses below the token."""

    def __init__(self, library: Library, watch: Watch, reader: Executor) -> None:
        """`reader`: in which runs are read; episodes and texts have the loop's own threads."""
        self._library, self._watch, self._reader = library, watch, reader

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        """Register all addresses under `base`, which has no slash at its end."""
        run = f"{base}/api/runs/{{run}}"
        router.add_get(f"{base}/", self._page)
        router.add_get(f"{base}/app/{{name}}", self._file)
        router.add_get(f"{base}/api/runs", self._runs)
        router.add_get(run, self._run)
        router.add_get(f"{run}/episodes/{{id}}", self._episode)
        router.add_get(f"{run}/episodes/{{id}}/prompts", self._prompts)
        router.add_get(f"{run}/search", self._search)
        router.add_get(f"{run}/figures", self._figures)
        router.add_get(f"{base}/api/compare", self._compare)
        router.add_get(f"{base}/api/events", self._watch.stream, allow_head=False)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=await asyncio.to_thread(index_page), content_type=TYPES["html"])

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        text = await asyncio.to_thread(app_file, name)
        if text is None:
            raise InputError(f"the viewer has no file {name!r}; reload the page")
        return web.Response(text=text, content_type=TYPES[name.rpartition(".")[2]])

    async def _runs(self, request: web.Request) -> web.Response:
        return await _json(self._library.summaries, executor=self._reader)

    async def _run(self, request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        table = await loop.run_in_executor(self._reader, self._library.table, request.match_info["run"])
        tag = f'"{table.version}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=table.json, content_type="application/json", headers={"ETag": tag})

    async def _episode(self, request: web.Request) -> web.Response:
        return await _json(self._library.episode, request.match_info["run"], request.match_info["id"])

    async def _prompts(self, request: web.Request) -> web.Response:
        return await _json(self._library.prompts, request.match_info["run"], request.match_info["id"])

    async def _search(self, request: web.Request) -> web.Response:
        stop = threading.Event()
        try:
            return await _json(
                self._library.search, request.match_info["run"], request.query.get("q", ""), stop
            )
        finally:
            stop.set()  # whoever asked may have gone

    async def _figures(self, request: web.Request) -> web.Response:
        return await _json(self._library.figures, request.match_info["run"])

    async def _compare(self, request: web.Request) -> web.Response:
        return await _json(self._library.compare, _side(request, "a"), _side(request, "b"))


def _side(request: web.Request, name: str) -> Side:
    run, agent, model = (request.query.get(f"{name}.{part}", "") for part in ("run", "agent", "model"))
    if not run:
        raise InputError(f"a comparison needs {name}.run; choose two agents in the overview")
    return Side(run, agent, model)


async def _json(make: Callable[..., Any], *values: Any, executor: Executor | None = None) -> web.Response:
    """The JSON of what `make` returns, both made in a thread: of `executor` or of the loop."""

    def body_of() -> bytes:
        return json.dumps(make(*values), separators=(",", ":")).encode()

    body = await asyncio.get_running_loop().run_in_executor(executor, body_of)
    return web.Response(body=body, content_type="application/json")
