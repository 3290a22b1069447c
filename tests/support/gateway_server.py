"""TensorZero's HTTP routes over an embedded gateway: what the gateway image would serve. Test code only.

Forwards each request to the same method of the client library and answers in the documented form; keeps
what was sent. It can ask for a key, go away in the middle of its answers, tell another time, and store
elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import tempfile
import uuid
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web
from tensorzero import AsyncTensorZeroGateway, TensorZeroError

from babyai_kit.configuration.gateway_toml import write_snapshot
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config


class GatewayServer:
    """Serves `gateway`; `requests` holds (method, path, body) in order of arrival."""

    def __init__(self, gateway: AsyncTensorZeroGateway, version: str) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.api_key = ""
        """Without it in its header, a request is answered 401; only `/health` and `/status` are free."""
        self.elsewhere = False
        """Workflow evaluations are accepted and stored in no ClickHouse, as by a gateway over Postgres."""
        self.cuts: dict[str, int] = {}
        """By path, how many of the next answers are carried out, begun and broken off."""
        self.time_s: float | None = None
        """Unix time of its clock, if that is not this machine's."""
        self._site: web.TCPSite | None = None
        self._runner: web.AppRunner | None = None
        self._open: set[asyncio.Transport] = set()
        self._gateway: AsyncTensorZeroGateway | None = gateway
        self._version = version
        self.app = web.Application(middlewares=[self._record])
        self.app.router.add_get("/health", self._health)
        self.app.router.add_get("/status", self._status)
        self.app.router.add_post("/inference", self._inference)
        self.app.router.add_post("/feedback", self._feedback)
        self.app.router.add_post("/workflow_evaluation_run", self._run)
        self.app.router.add_post("/workflow_evaluation_run/{run}/episode", self._episode)

    async def listen(self, runner: web.AppRunner, port: int = 0) -> None:
        self._runner, self._site = runner, web.TCPSite(runner, "127.0.0.1", port)
        await self._site.start()

    async def away(self, seconds: float) -> None:
        """Break off every answer, listen no more, and come back after `seconds` at the same address."""
        assert self._site is not None
        assert self._runner is not None
        port = self._runner.addresses[0][1]
        await self._site.stop()
        for transport in self._open:
            transport.abort()
        await asyncio.sleep(seconds)
        await self.listen(self._runner, port)

    def sent(self, path: str) -> list[dict[str, Any]]:
        return [body for _, at, body in self.requests if at == path]

    def drop(self) -> None:
        self._gateway = None

    @property
    def gateway(self) -> AsyncTensorZeroGateway:
        assert self._gateway is not None
        return self._gateway

    @web.middleware
    async def _record(self, request: web.Request, handler: Any) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._open = {t for t in self._open if not t.is_closing()} | {transport}
        body = await request.json() if request.method == "POST" else {}
        self.requests.append((request.method, request.path, body))
        free = request.path in ("/health", "/status")
        if self.api_key and not free and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            words = "TensorZero authentication error: Error performing authentication: "
            return web.json_response({"error": f"{words}Authorization header is required"}, status=401)
        try:
            answer = await handler(body, request)
        except TensorZeroError as error:
            return web.json_response(json.loads(error.text), status=error.status_code)
        if self.time_s is not None:
            answer.headers["Date"] = formatdate(self.time_s, usegmt=True)
        if self.cuts.get(request.path, 0) > 0:
            self.cuts[request.path] -= 1
            await self._break_off(answer, request, transport)
        return answer

    @staticmethod
    async def _break_off(answer: web.Response, request: web.Request, transport: asyncio.Transport) -> None:
        begun = web.StreamResponse(headers={"Content-Type": "application/json"})
        begun.content_length = len(answer.body or b"")
        await begun.prepare(request)
        await begun.write(bytes(answer.body or b"")[:5])
        transport.abort()

    async def _health(self, body: dict[str, Any], request: web.Request) -> web.Response:
        return web.json_response({"gateway": "ok", "clickhouse": "ok"})

    async def _status(self, body: dict[str, Any], request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": self._version})

    async def _inference(self, body: dict[str, Any], request: web.Request) -> web.Response:
        known = {k: v for k, v in body.items() if v is not None and not (k == "stream" and v is False)}
        done: Any = await self.gateway.inference(**known)
        usage = {name: getattr(done.usage, name) for name in ("input_tokens", "output_tokens")}
        if done.usage.cost is not None:
            usage["cost"] = float(done.usage.cost)
        answer = {
            "inference_id": str(done.inference_id),
            "episode_id": str(done.episode_id),
            "variant_name": done.variant_name,
            "output": {"raw": done.output.raw, "parsed": done.output.parsed},
            "usage": usage,
            "finish_reason": done.finish_reason.value if done.finish_reason else None,
        }
        for name in ("raw_response", "raw_usage"):
            entries = getattr(done, name)
            if entries is not None:
                answer[name] = [
                    {
                        "model_inference_id": str(entry.model_inference_id),
                        "provider_type": entry.provider_type,
                        "api_type": entry.api_type,
                        "data": entry.data,
                    }
                    for entry in entries
                ]
        return web.json_response(answer)

    async def _feedback(self, body: dict[str, Any], request: web.Request) -> web.Response:
        done: Any = await self.gateway.feedback(**{k: v for k, v in body.items() if v is not None})
        return web.json_response({"feedback_id": str(done.feedback_id)})

    async def _run(self, body: dict[str, Any], request: web.Request) -> web.Response:
        if self.elsewhere:
            return web.json_response({"run_id": str(uuid.uuid4())})
        # The client marks its own runs; the client within, which marks them again, refuses the mark.
        tags = {k: v for k, v in body["tags"].items() if not k.startswith("tensorzero::")}
        body = {k: v for k, v in body.items() if v is not None and k != "internal"} | {"tags": tags}
        done: Any = await self.gateway.workflow_evaluation_run(**body)
        return web.json_response({"run_id": str(done.run_id)})

    async def _episode(self, body: dict[str, Any], request: web.Request) -> web.Response:
        if self.elsewhere:
            return web.json_response({"episode_id": str(uuid.uuid4())})
        done: Any = await self.gateway.workflow_evaluation_run_episode(
            run_id=request.match_info["run"], **{k: v for k, v in body.items() if v is not None}
        )
        return web.json_response({"episode_id": str(done.episode_id)})


@contextlib.asynccontextmanager
async def gateway_server(
    config: Path, model_url: str, model: str, clickhouse_url: str, version: str = "2026.6.0"
) -> AsyncIterator[tuple[str, GatewayServer]]:
    """The address of a gateway that serves `config` with `model` at `model_url`, and its record."""
    settings = load_settings(None, {"OPENAI_BASE_URL": model_url, "AGENT_MODEL": model})
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_config(config, settings)
        glob = write_snapshot(loaded, settings, folder, base_url=settings.openai_base_url)
        gateway = await AsyncTensorZeroGateway.build_embedded(  # type: ignore[misc]
            config_file=glob, clickhouse_url=clickhouse_url
        )
    server = GatewayServer(gateway, version)
    del gateway
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await server.listen(runner)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", server
    finally:
        await runner.cleanup()
        server.drop()
        gc.collect()
