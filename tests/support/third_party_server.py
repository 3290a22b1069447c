"""A server that speaks as little of OpenAI's fine-tuning API as the client can work with, as others may.

Made for these tests and unrelated to the offline player. `statuses` is what a job says, one after the other;
an answer has only the fields that a test asks for.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from aiohttp import web


class ThirdParty:
    """`calls` lists the requests by name; `refuse` has, by name, what to answer first instead: None (as
    usual), "reset", a status, a status with a body, or a function that handles the request.

    `port`: 0 takes any free one.
    """

    def __init__(
        self,
        statuses: Sequence[str] = ("running", "succeeded"),
        *,
        port: int = 0,
        certificate: ssl.SSLContext | None = None,
        **job: Any,
    ) -> None:
        self.statuses = list(statuses)
        self.port = port
        self._certificate = certificate
        self.job = job
        self.refuse: dict[str, list[Any]] = {}
        self.calls: list[str] = []
        self.files: list[bytes] = []
        self.created: list[dict[str, Any]] = []
        self.events: Any = None
        self.lists_jobs = True
        self.base_url = ""

    async def __aenter__(self) -> ThirdParty:
        app = web.Application()
        app.router.add_post("/api/files", self._upload)
        app.router.add_post("/api/fine_tuning/jobs", self._create)
        app.router.add_get("/api/fine_tuning/jobs", self._list)
        app.router.add_get("/api/fine_tuning/jobs/{id}", self._show)
        app.router.add_post("/api/fine_tuning/jobs/{id}/cancel", self._cancel)
        app.router.add_get("/api/fine_tuning/jobs/{id}/events", self._events)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._certificate).start()
        self.port = self._runner.addresses[0][1]
        scheme = "https" if self._certificate else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self.port}/api"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def count(self, call: str) -> int:
        return self.calls.count(call)

    async def _refused(self, call: str, http: web.Request) -> web.StreamResponse | None:
        self.calls.append(call)
        waiting = self.refuse.get(call)
        if not waiting:
            return None
        answer = waiting.pop(0)
        if answer == "reset":
            assert http.transport is not None
            http.transport.abort()
            return web.Response()
        if answer is None:
            return None
        if callable(answer):
            return await answer(http)
        status, body = answer if isinstance(answer, tuple) else (answer, {"error": {"message": "later"}})
        headers = {"Retry-After": "0"}
        if isinstance(body, str):
            return web.Response(text=body, status=status, content_type="text/html", headers=headers)
        return web.json_response(body, status=status, headers=headers)

    async def _upload(self, http: web.Request) -> web.StreamResponse:
        form = await http.post()
        if answer := await self._refused("upload", http):
            return answer
        assert form["purpose"] == "fine-tune"
        self.files.append(form["file"].file.read())
        return web.json_response({"id": f"f{len(self.files)}"})

    async def _create(self, http: web.Request) -> web.StreamResponse:
        body = await http.json()
        lost = self.refuse.get("create", [None])[:1] == ["lost"]
        if lost:
            self.refuse["create"] = ["reset"]
            self.created.append(body)
        if answer := await self._refused("create", http):
            return answer
        self.created.append(body)
        return web.json_response({"id": f"j{len(self.created)}"})

    async def _list(self, http: web.Request) -> web.StreamResponse:
        if answer := await self._refused("list", http):
            return answer
        if not self.lists_jobs:
            return web.Response(status=404)
        rows = [
            {"id": f"j{number}", "training_file": body["training_file"]}
            for number, body in enumerate(self.created, start=1)
        ]
        return web.json_response({"data": rows})

    async def _show(self, http: web.Request) -> web.StreamResponse:
        if answer := await self._refused("show", http):
            return answer
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        job: dict[str, Any] = {"id": http.match_info["id"], "status": status}
        if status in ("succeeded", "completed"):
            job["fine_tuned_model"] = "tuned:1"
        return web.json_response(job | self.job)

    async def _cancel(self, http: web.Request) -> web.StreamResponse:
        if answer := await self._refused("cancel", http):
            return answer
        self.statuses = ["canceled"]
        return web.json_response({"id": "j1", "status": "canceled"})

    async def _events(self, http: web.Request) -> web.StreamResponse:
        if answer := await self._refused("events", http):
            return answer
        if self.events is None:
            return web.Response(status=404)
        return web.json_response({"data": self.events})
