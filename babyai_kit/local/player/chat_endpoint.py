"""One chat completion call: who plays, which fault hits, what goes over the wire.

Knows the order of things (check, fault, delay, answer, spoil, send) and how faults look to a client.
Knows neither ports nor keys nor how an answer is chosen. It holds a table of players, model name to a
function from request to answer text; another kind of model is another entry.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from babyai_kit.local.player.call_counts import Asked, Stats
from babyai_kit.local.player.chat_request import ChatRequest, ProtocolError, parse_request
from babyai_kit.local.player.completion import Completion, Said, finish, stream_bodies, whole_body
from babyai_kit.local.player.faults import Fault, FaultPlan, Latency, spoil

Player = Callable[[ChatRequest], "str | Said | Awaitable[str | Said]"]
Script = Callable[[ChatRequest], "str | Fault | Awaitable[str | Fault | None] | None"]

_NO_LINGER = struct.pack("ii", 1, 0)


class _Closing(Exception):
    """The server goes down while a call waits."""


class ChatEndpoint:
    """Handles POST /v1/chat/completions. Options as in OfflinePlayer."""

    def __init__(
        self,
        players: dict[str, Player],
        *,
        faults: FaultPlan,
        latency: Latency,
        answers: Script | Iterable[str | Fault] | None,
        capacity: int | None,
        usage: bool,
    ) -> None:
        self.players, self.faults, self.latency = players, faults, latency
        self.find: Callable[[str], Awaitable[Player | None]] | None = None
        self.capacity, self.usage = capacity, usage
        self.answers = answers if answers is None or callable(answers) else deque(answers)
        self.stats = Stats()
        # Resolved when the server closes. Made on opening: a future belongs to one event loop.
        self.closing: asyncio.Future[None] | None = None

    async def player(self, name: str) -> Player:
        """Who plays `name`: an entry of `players`, which `find` may add to.

        Raises ProtocolError (404, model_not_found) for a name that nobody plays.
        """
        if name not in self.players and self.find and (found := await self.find(name)):
            self.players[name] = found
        if name not in self.players:
            message = f"The model `{name}` does not exist; this server has {', '.join(self.players)}."
            raise ProtocolError(404, message, code="model_not_found", param="model")
        return self.players[name]

    async def handle(self, http: web.Request) -> web.StreamResponse:
        self.stats.requests += 1
        with self.stats.working():
            try:
                request = parse_request(await http.read())
                player = await self.player(request.model)
            except (ProtocolError, web.HTTPException):
                self.stats.refused += 1
                raise
            try:
                return await self._answer(http, request, player)
            except _Closing:
                return _cut_off(http)

    async def _answer(self, http: web.Request, request: ChatRequest, player: Player) -> web.StreamResponse:
        asked = self.stats.asked(request.identity)
        attempt = asked.attempts
        asked.attempts += 1
        scripted = await self._scripted(request)
        fault = scripted if isinstance(scripted, Fault) else self._draw(request, asked, attempt)
        if fault:
            self.stats.faults[fault.kind] += 1
            if fault.passing:
                asked.failures += 1
                return await self._fail(http, request, fault)
        delay = self.latency.seconds(request.identity, attempt)
        if delay:
            await self._wait(delay)
        if isinstance(scripted, str):
            said: str | Said = scripted
        else:
            played = player(request)
            said = played if isinstance(played, (str, Said)) else await played
        if fault:
            said = spoil(fault, said if isinstance(said, str) else said.text, request.identity)
        completion = finish(said, request, fault.kind if fault else "")
        self.stats.answered(request.identity)
        if request.stream:
            return await self._stream(http, request, completion)
        return web.json_response(whole_body(request, completion, usage=self.usage))

    async def _scripted(self, request: ChatRequest) -> str | Fault | None:
        if self.answers is None:
            return None
        if isinstance(self.answers, deque):
            if not self.answers:
                raise ProtocolError(400, "The scripted answers are used up.", code="script_ended")
            return self.answers.popleft()
        answer = self.answers(request)
        return await answer if inspect.isawaitable(answer) else answer

    def _draw(self, request: ChatRequest, asked: Asked, attempt: int) -> Fault | None:
        if self.capacity is not None and self.stats.in_flight > self.capacity:
            return Fault("429", self.faults.retry_after_s)
        identity = request.identity
        passing = self.faults.passing_fault(identity, attempt, asked.failures)
        return passing or self.faults.spoiled_answer(identity)

    async def _fail(self, http: web.Request, request: ChatRequest, fault: Fault) -> web.StreamResponse:
        if fault.kind == "stall":
            await self._wait(None)
        if fault.kind == "html":
            page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
            return web.Response(status=502, text=page, content_type="text/html")
        if fault.kind == "no_choices":
            body = whole_body(request, Completion("", "stop", 0, 0), usage=self.usage)
            return web.json_response({**body, "choices": []})
        if fault.status is None:
            return _cut_off(http)
        headers = {}
        if fault.retry_after_s is not None:
            headers["Retry-After"] = f"{fault.retry_after_s:g}"
        code = "rate_limit_exceeded" if fault.status == 429 else "injected_fault"
        message = f"Injected fault: status {fault.status}."
        raise ProtocolError(fault.status, message, code=code, headers=headers)

    async def _wait(self, seconds: float | None) -> None:
        """Wait; None: until the client goes away (then this is cancelled) or the server closes."""
        assert self.closing is not None
        done, _ = await asyncio.wait([self.closing], timeout=seconds)
        if done:
            raise _Closing

    async def _stream(
        self, http: web.Request, request: ChatRequest, completion: Completion
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
        response.content_type = "text/event-stream"
        await response.prepare(http)
        for body in stream_bodies(request, completion, usage=self.usage):
            await response.write(f"data: {json.dumps(body)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


def _cut_off(http: web.Request) -> web.Response:
    """Reset the connection (RST, not a clean end). The response returned goes nowhere."""
    if http.transport is not None:
        connection = http.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        http.transport.abort()
    return web.Response()
