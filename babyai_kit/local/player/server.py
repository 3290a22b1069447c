"""The OpenAI-compatible server on loopback: its options, its routes, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from babyai_kit.configuration.addresses import HOST, PLAYER_PORT
from babyai_kit.configuration.models import OFFLINE_MODEL
from babyai_kit.errors import InputError
from babyai_kit.local.http.connections import HttpConnections
from babyai_kit.local.http.malformed import LOGGER
from babyai_kit.local.player.call_counts import CallCounts
from babyai_kit.local.player.chat_endpoint import ChatEndpoint, Script
from babyai_kit.local.player.count_table import TableTrainer
from babyai_kit.local.player.embedding_endpoint import EmbeddingEndpoint
from babyai_kit.local.player.faults import Fault, FaultPlan, Latency
from babyai_kit.local.player.file_endpoint import FileEndpoint
from babyai_kit.local.player.file_store import FileStore
from babyai_kit.local.player.fine_tuning import FineTuning
from babyai_kit.local.player.guard import Guard
from babyai_kit.local.player.job_endpoint import JobEndpoint
from babyai_kit.local.player.job_store import JobStore
from babyai_kit.local.player.model_directory import ModelDirectory, ModelSource, ServedModel
from babyai_kit.local.player.model_endpoint import ModelEndpoint
from babyai_kit.local.player.protocol import API_BASES
from babyai_kit.local.player.trainer import Trainer
from babyai_kit.tokens import count_text

_MAX_BODY_BYTES = 16 * 1024**2


class OfflinePlayer:
    """A server in the current event loop: `async with OfflinePlayer() as player: player.base_url`.

    port: 0 takes any free one. host: the address to listen on; containers need another than loopback.
    api_key: required in the Authorization header; None: none is needed.
    latency_s, latency_sigma: seconds before an answer (see faults.Latency). faults: a FaultPlan, rates
    by kind, or text for FaultPlan.parse. capacity: calls in flight beyond it get 429; None: no limit.
    usage: whether answers include token counts. aliases: more names of the hand-written policy.
    trainers: kinds of models to serve besides the hand-written policy (see trainer.Trainer).
    folder: where files, jobs and fine-tuned models are kept over restarts; None: nothing is kept.
    shutdown_timeout_s: seconds that calls in progress get when the server closes.
    answers: for tests, a function from ChatRequest to answer text, a Fault or None (let the policy
    play), or a queue of texts and faults, used up in order of arrival, after which calls get 400.
    Raises InputError for options out of range and, on entering, for a port that is taken.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = HOST,
        api_key: str | None = None,
        latency_s: float = 0.0,
        latency_sigma: float = 0.0,
        faults: FaultPlan | Mapping[str, float] | str | None = None,
        answers: Script | Iterable[str | Fault] | None = None,
        capacity: int | None = None,
        usage: bool = True,
        aliases: Iterable[str] = (),
        trainers: Iterable[Trainer] = (),
        folder: str | Path | None = None,
        shutdown_timeout_s: float = 1.0,
    ) -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"port {port} is out of range; use 0 (any) to 65535")
        if capacity is not None and capacity < 0:
            raise InputError(f"capacity {capacity} is out of range; use 0 or more calls")
        if isinstance(faults, str):
            faults = FaultPlan.parse(faults)
        elif not isinstance(faults, FaultPlan):
            faults = FaultPlan(dict(faults or {}))
        self.port = port
        self._host, self._api_key, self._folder = host, api_key, folder
        self._shutdown_timeout_s = shutdown_timeout_s
        self._trainers: list[Trainer] = [TableTrainer((OFFLINE_MODEL, *aliases)), *trainers]
        bases = [ModelSource(trainer, model) for trainer in self._trainers for model in trainer.models]
        self.models: dict[str, ServedModel] = {source.base: source.load() for source in bases}
        """By name; fine-tuned models are added when they are first used."""
        self._chat = ChatEndpoint(
            self.models,
            faults=faults,
            latency=Latency(latency_s, latency_sigma),
            answers=answers,
            capacity=capacity,
            usage=usage,
        )
        self._connections = HttpConnections()
        self._cleanup = contextlib.AsyncExitStack()

    @property
    def base_url(self) -> str:
        """Where clients go, "http://127.0.0.1:PORT/v1/"; the port is known once the server has started."""
        return f"http://{self._host}:{self.port}/v1/"

    @property
    def stats(self) -> CallCounts:
        """What was counted since the start; also at GET /stats."""
        return self._chat.stats

    async def __aenter__(self) -> OfflinePlayer:
        # What is slow to load is loaded now, not within the first call.
        count_text("")
        importlib.import_module("babyai_kit.local.player.request_bodies")
        async with contextlib.AsyncExitStack() as stack:
            folder = self._folder
            if folder is None:
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="babyai-player-", ignore_cleanup_errors=True)
                )
            files, jobs = FileStore(Path(folder) / "files"), JobStore(Path(folder) / "jobs")
            directory = ModelDirectory(self._trainers, jobs)
            tuning = FineTuning(jobs, files, directory)
            stack.push_async_callback(tuning.close)
            runner = self._runner(files, tuning)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            self._chat.find_model = directory.load
            self._chat.closing = asyncio.get_running_loop().create_future()
            stack.callback(self._chat.closing.set_result, None)
            try:
                listener = await stack.enter_async_context(
                    self._connections.listen(runner, host=self._host, port=self.port)
                )
            except OSError as error:
                raise InputError(f"port {self.port} is taken; use another, or 0 for any") from error
            self.port = listener.sockets[0].getsockname()[1]
            tuning.resume()
            self._cleanup = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening; stalled and delayed calls are cut off. Closing twice is harmless."""
        await self._cleanup.aclose()

    def _runner(self, files: FileStore, tuning: FineTuning) -> web.AppRunner:
        guard = Guard(host=self._host, api_key=self._api_key, connections=self._connections, stats=self.stats)
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[guard.check])
        for base in API_BASES:
            self._chat.add_to(app.router, base)
            EmbeddingEndpoint(self._chat.model).add_to(app.router, base)
            ModelEndpoint(self._chat, tuning.models).add_to(app.router, base)
            FileEndpoint(files).add_to(app.router, base)
            JobEndpoint(tuning).add_to(app.router, base)
        app.router.add_get("/stats", self._show_stats)
        return web.AppRunner(
            app,
            access_log=None,
            logger=LOGGER,
            # A handler ends with its client, so that a stalled call does not outlive the client.
            handler_cancellation=True,
            shutdown_timeout=self._shutdown_timeout_s,
        )

    async def _show_stats(self, http: web.Request) -> web.Response:
        return web.json_response(self.stats.as_dict(identities="identities" in http.query))


async def serve(port: int = PLAYER_PORT, *, on_ready: Callable[[str], None] = print, **options: Any) -> None:
    """Run a server until SIGTERM, SIGINT or cancellation. `options` as in OfflinePlayer.

    `on_ready` gets one line with the models and, last, the base URL once calls are answered.
    """
    async with OfflinePlayer(port, **options) as player:
        # The owner says in parentheses what kind of model it is.
        models = [
            f"{name} {model.owner.removeprefix('babyai-kit ')}" for name, model in player.models.items()
        ]
        on_ready(f"serving {', '.join(models)} at {player.base_url}")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, other threads
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
