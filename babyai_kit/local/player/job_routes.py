"""/v1/fine_tuning/jobs: OpenAI's fine-tuning API over `FineTuning`.

Knows routes and pages; nothing of how jobs are worked on.
"""

from __future__ import annotations

from aiohttp import web

from babyai_kit.local.player.fine_tuning import FineTuning
from babyai_kit.local.player.job_request import parse_job
from babyai_kit.local.player.paging import page

_JOBS = "/v1/fine_tuning/jobs"


class JobRoutes:
    def __init__(self, tuning: FineTuning) -> None:
        self._tuning = tuning

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post(_JOBS, self._create)
        router.add_get(_JOBS, self._list)
        router.add_get(f"{_JOBS}/{{id}}", self._show)
        router.add_post(f"{_JOBS}/{{id}}/cancel", self._cancel)
        router.add_get(f"{_JOBS}/{{id}}/events", self._events)
        router.add_get(f"{_JOBS}/{{id}}/checkpoints", self._checkpoints)

    async def _create(self, http: web.Request) -> web.Response:
        return web.json_response(self._tuning.create(parse_job(await http.read())))

    async def _list(self, http: web.Request) -> web.Response:
        return web.json_response(page(self._tuning.jobs.all(), http.query, default=20, most=100))

    async def _show(self, http: web.Request) -> web.Response:
        return web.json_response(self._tuning.jobs.get(http.match_info["id"]))

    async def _cancel(self, http: web.Request) -> web.Response:
        return web.json_response(await self._tuning.cancel(http.match_info["id"]))

    async def _events(self, http: web.Request) -> web.Response:
        events = self._tuning.jobs.events(http.match_info["id"])
        return web.json_response(page(events, http.query, default=20, most=100))

    async def _checkpoints(self, http: web.Request) -> web.Response:
        checkpoints = self._tuning.jobs.checkpoints(http.match_info["id"])
        return web.json_response(page(checkpoints, http.query, default=10, most=100))
