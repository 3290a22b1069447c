"""/v1/fine_tuning/jobs: OpenAI's fine-tuning API (supervised only) over `FineTuning`."""

from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web

from babyai_kit.local.player.fine_tuning import FineTuning
from babyai_kit.local.player.job_store import EVENTS
from babyai_kit.local.player.protocol import page, parse_object


class JobEndpoint:
    def __init__(self, tuning: FineTuning) -> None:
        self._tuning = tuning

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        jobs = f"{base}/fine_tuning/jobs"
        router.add_post(jobs, self._create)
        router.add_get(jobs, self._list)
        router.add_get(f"{jobs}/{{id}}", self._show)
        router.add_post(f"{jobs}/{{id}}/cancel", self._cancel)
        router.add_get(f"{jobs}/{{id}}/events", self._events)
        router.add_get(f"{jobs}/{{id}}/checkpoints", self._checkpoints)

    async def _create(self, http: web.Request) -> web.Response:
        fields, place = parse_job(await http.read())
        return web.json_response(self._tuning.create(fields, hyperparameters_at=place))

    async def _list(self, http: web.Request) -> web.Response:
        return _page(http, self._tuning.jobs.all())

    async def _show(self, http: web.Request) -> web.Response:
        return web.json_response(self._tuning.jobs.get(http.match_info["id"]))

    async def _cancel(self, http: web.Request) -> web.Response:
        return web.json_response(await self._tuning.cancel(http.match_info["id"]))

    async def _events(self, http: web.Request) -> web.Response:
        return _page(http, self._tuning.jobs.rows(http.match_info["id"], EVENTS))

    async def _checkpoints(self, http: web.Request) -> web.Response:
        return _page(http, self._tuning.jobs.checkpoints(http.match_info["id"]), default_limit=10)


def _page(http: web.Request, objects: list[dict[str, Any]], default_limit: int = 20) -> web.Response:
    return web.json_response(page(objects, http.query, default_limit=default_limit, max_limit=100))


def parse_job(raw: bytes) -> tuple[dict[str, Any], str]:
    """The fields of a job object that its creator chooses, and where in the body the hyperparameters were,
    which are not yet validated. Raises ProtocolError (400)."""
    from babyai_kit.local.player.request_bodies import JobBody
    from babyai_kit.local.player.validation import validate

    body = validate(JobBody, parse_object(raw))
    of_method = body.method.supervised.hyperparameters
    fields = {
        "model": body.model,
        "training_file": body.training_file,
        "validation_file": body.validation_file,
        "user_provided_suffix": body.suffix,
        "seed": secrets.randbelow(2**31) if body.seed is None else body.seed,
        "metadata": body.metadata,
        "hyperparameters": of_method or body.hyperparameters,
    }
    return fields, "method.supervised.hyperparameters" if of_method else "hyperparameters"
