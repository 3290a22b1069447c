"""The OpenAI-compatible server on loopback: routes, key, refusals, start and stop.

Knows HTTP. Knows nothing of how calls are answered or spoiled (see `chat`) or of how models are
fine-tuned (see `tuning`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from babyai_kit.configuration.addresses import HOST, PLAYER_PORT
from babyai_kit.configuration.models import OFFLINE_MODEL, is_learner
from babyai_kit.errors import InputError
from babyai_kit.local.player.call_counts import Stats
from babyai_kit.local.player.chat_endpoint import ChatEndpoint, Player, Script
from babyai_kit.local.player.chat_request import ProtocolError
from babyai_kit.local.player.count_table import TableTrainer
from babyai_kit.local.player.faults import Fault, FaultPlan, Latency
from babyai_kit.local.player.file_store import FileRoutes, FileStore
from babyai_kit.local.player.fine_tuning import FineTuning
from babyai_kit.local.player.job_routes import JobRoutes
from babyai_kit.local.player.job_store import JobStore
from babyai_kit.local.player.trainer import Trainer
from babyai_kit.tokens import count_text

OWNER = "babyai-kit (hand-written policy, no LLM)"
LEARNER_OWNER = "babyai-kit (small model trained here, no hosted LLM)"
_CHAT = "/v1/chat/completions"
_MAX_BODY_BYTES = 16 * 1024**2


class OfflinePlayer:
    """A server in the present event loop: `async with OfflinePlayer() as player: player.base_url`.

    port: 0 takes a free one. host: the address to listen on; another than loopback is for containers.
    api_key: asked for in the Authorization header; None: none needed.
    latency_s, latency_sigma: seconds before an answer (see faults.Latency). faults: a FaultPlan, rates
    by kind, or text for FaultPlan.parse. capacity: calls in flight beyond it get 429; None: no limit.
    usage: whether answers tell their tokens. aliases: more model names that the same policy answers to.
    trainers: more models, which can be fine-tuned too; the hand-written policy always can (see learning).
    folder: where files, jobs and fine-tuned models are kept over restarts; None: nothing is kept.
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
    ) -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"port {port} is out of range: use 0 (any) to 65535")
        if capacity is not None and capacity < 0:
            raise InputError(f"capacity {capacity} is out of range: use 0 or more calls")
        if isinstance(faults, str):
            faults = FaultPlan.parse(faults)
        elif not isinstance(faults, FaultPlan):
            faults = FaultPlan(dict(faults or {}))
        self.port = port
        self._host = host
        self._trainers: list[Trainer] = [TableTrainer((OFFLINE_MODEL, *aliases)), *trainers]
        self.players: dict[str, Player] = {
            model: trainer.player(model, None) for trainer in self._trainers for model in trainer.models
        }
        self._folder = folder
        self._unkept: tempfile.TemporaryDirectory[str] | None = None
        self._tuning: FineTuning | None = None
        self._chat = ChatEndpoint(
            self.players,
            faults=faults,
            latency=Latency(latency_s, latency_sigma),
            answers=answers,
            capacity=capacity,
            usage=usage,
        )
        self._api_key = api_key
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """Where clients go, "http://127.0.0.1:PORT/v1/"; the port is known once it has started."""
        return f"http://{self._host}:{self.port}/v1/"

    @property
    def stats(self) -> Stats:
        """What was counted since the start; also at GET /stats."""
        return self._chat.stats

    async def __aenter__(self) -> OfflinePlayer:
        count_text("")  # load the encoding now, not within the first call
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._guard])
        app.router.add_post(_CHAT, self._chat.handle)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/v1/models/{id:.+}", self._show_model)
        app.router.add_get("/stats", self._show_stats)
        self._tuning = self._open_tuning(app.router)
        self._chat.closing = asyncio.get_running_loop().create_future()
        # Handlers end with their client, so that a stalled call is not held for one that has gone.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port, backlog=1024).start()
        except OSError as error:
            await self.close()
            raise InputError(f"port {self.port} is taken: choose another, or 0 for any") from error
        self.port = self._runner.addresses[0][1]
        self._tuning.resume()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening; stalled and delayed calls are cut off. Closing twice is harmless."""
        closing, runner, self._runner = self._chat.closing, self._runner, None
        if closing is not None and not closing.done():
            closing.set_result(None)
        if runner is not None:
            await runner.cleanup()
        if self._tuning is not None:
            await self._tuning.close()
        if self._unkept is not None:
            self._unkept.cleanup()
        self._tuning = self._unkept = None

    def _open_tuning(self, router: web.UrlDispatcher) -> FineTuning:
        folder = self._folder
        if folder is None:
            self._unkept = tempfile.TemporaryDirectory(prefix="babyai-player-", ignore_cleanup_errors=True)
            folder = self._unkept.name
        files = FileStore(Path(folder) / "files")
        tuning = FineTuning(JobStore(Path(folder) / "jobs"), files, self._trainers)
        self._chat.find = tuning.player
        FileRoutes(files).add_to(router)
        JobRoutes(tuning).add_to(router)
        return tuning

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Check the key and put every refusal into OpenAI's form."""
        try:
            self._check_key(request)
            return await handler(request)
        except ProtocolError as error:
            problem = error
        except web.HTTPException as error:
            what = f"{request.method} {request.path}"
            problem = ProtocolError(error.status, f"{what}: {error.reason}")
        return web.json_response(problem.body(), status=problem.status, headers=problem.headers)

    def _check_key(self, http: web.Request) -> None:
        if self._api_key is None or not http.path.startswith("/v1/"):
            return
        given = http.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._api_key.encode()):
            if http.path == _CHAT:
                self.stats.requests += 1
                self.stats.refused += 1
            # The key that was sent is not repeated: it may be a real one.
            raise ProtocolError(401, "Incorrect API key provided.", code="invalid_api_key")

    async def _list_models(self, http: web.Request) -> web.Response:
        tuned = self._tuning.models() if self._tuning else []
        names = dict.fromkeys([*self.players, *tuned])
        return web.json_response({"object": "list", "data": [_card(name) for name in names]})

    async def _show_model(self, http: web.Request) -> web.Response:
        name = http.match_info["id"]
        await self._chat.player(name)
        return web.json_response(_card(name))

    async def _show_stats(self, http: web.Request) -> web.Response:
        return web.json_response(self.stats.as_dict(identities="identities" in http.query))


def _card(name: str) -> dict[str, Any]:
    owner = LEARNER_OWNER if is_learner(name) else OWNER
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


async def serve(port: int = PLAYER_PORT, *, say: Callable[[str], None] = print, **options: Any) -> None:
    """Run a server until SIGTERM, SIGINT or cancellation. `options` as in OfflinePlayer.

    `say` gets one line with the base URL once calls are answered.
    """
    async with OfflinePlayer(port, **options) as player:
        say(f"offline player (a hand-written policy, no LLM) at {player.base_url}")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, other threads
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
