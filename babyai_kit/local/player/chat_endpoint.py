"""POST /v1/chat/completions: which model answers, which fault hits, what goes over the wire.

The order of a call: check, fault, delay, answer, spoil, send. The endpoint holds a table of models by name;
another kind of model is another entry.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import replace

from aiohttp import web

from babyai_kit.local.player.call_counts import CallCounts, QuestionCounts
from babyai_kit.local.player.chat_request import ChatRequest, parse_request
from babyai_kit.local.player.completion import Completion, ModelAnswer, ResponseWriter, complete
from babyai_kit.local.player.faults import Fault, FaultPlan, Latency, spoil
from babyai_kit.local.player.model_directory import ServedModel
from babyai_kit.local.player.protocol import ProtocolError
from babyai_kit.local.player.stream import chunks_of, write_stream
from babyai_kit.local.player.trainer import Answer

CHAT_PATH = "/chat/completions"
"""Below the base of the API."""

Script = Callable[[ChatRequest], "str | Fault | Awaitable[str | Fault | None] | None"]

_NO_LINGER = struct.pack("ii", 1, 0)


class _Closing(Exception):
    """The server goes down while a call waits."""


class ChatEndpoint:
    """Answers chat completion calls. Options as in OfflinePlayer."""

    def __init__(
        self,
        models: dict[str, ServedModel],
        *,
        faults: FaultPlan,
        latency: Latency,
        answers: Script | Iterable[str | Fault] | None,
        capacity: int | None,
        usage: bool,
    ) -> None:
        self.models, self.faults, self.latency = models, faults, latency
        self.capacity, self.usage = capacity, usage
        self.answers = answers if answers is None or callable(answers) else deque(answers)
        self.stats = CallCounts()
        self.find_model: Callable[[str], Awaitable[ServedModel | None]] | None = None
        """Looks for a model that is not in `models`, such as a fine-tuned one; set when the server opens."""
        # Resolved when the server closes. Created when it opens: a future belongs to one event loop.
        self.closing: asyncio.Future[None] | None = None

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_post(base + CHAT_PATH, self._handle)

    async def model(self, name: str) -> ServedModel:
        """An entry of `models`; one that `find_model` finds is added to them.

        Raises ProtocolError (404, model_not_found) for a name that is not served.
        """
        if name not in self.models and self.find_model and (model := await self.find_model(name)):
            self.models[name] = model
        if name not in self.models:
            message = f"The model `{name}` does not exist; this server has {', '.join(self.models)}."
            raise ProtocolError(404, message, code="model_not_found", param="model")
        return self.models[name]

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        with self.stats.call():
            try:
                request = parse_request(await http.read())
                model = await self.model(request.model)
            except (ProtocolError, web.HTTPException):
                self.stats.refused += 1
                raise
            try:
                return await self._answer(http, request, model)
            except _Closing:
                return _cut_off(http)

    async def _answer(
        self, http: web.Request, request: ChatRequest, model: ServedModel
    ) -> web.StreamResponse:
        question = self.stats.question(request.identity)
        attempt = question.attempts
        question.attempts += 1
        writer = ResponseWriter(request, model.fingerprint, self.usage)
        scripted = await self._scripted(request)
        fault = scripted if isinstance(scripted, Fault) else self._draw(request, question, attempt)
        if fault:
            self.stats.faults[fault.kind] += 1
            if fault.passing:
                question.failures += 1
                return await self._fail(http, writer, fault)
        delay = self.latency.seconds(request.identity, attempt)
        if delay:
            await self._wait(delay)
        if isinstance(scripted, str):
            answer: Answer = scripted
        else:
            # What is spoiled must be whole.
            given = model.player(replace(request, stream=False) if fault else request)
            answer = await given if isinstance(given, Awaitable) else given
        if isinstance(answer, AsyncGenerator):
            return await write_stream(http, chunks_of(self._counted(answer, request), writer))
        if fault:
            answer = spoil(fault, answer if isinstance(answer, str) else answer.text, request.identity)
        completion = complete(answer, request, fault.kind if fault else "")
        self.stats.add_answer(request.identity)
        if request.stream:
            return await write_stream(http, chunks_of(completion, writer))
        return web.json_response(writer.whole(completion))

    async def _counted(
        self, answers: AsyncGenerator[ModelAnswer, None], request: ChatRequest
    ) -> AsyncGenerator[ModelAnswer, None]:
        async with contextlib.aclosing(answers):
            async for answer in answers:
                if not answer.growing:
                    self.stats.add_answer(request.identity)
                yield answer

    async def _scripted(self, request: ChatRequest) -> str | Fault | None:
        if self.answers is None:
            return None
        if isinstance(self.answers, deque):
            if not self.answers:
                raise ProtocolError(400, "The scripted answers are used up.", code="script_ended")
            return self.answers.popleft()
        answer = self.answers(request)
        return await answer if inspect.isawaitable(answer) else answer

    def _draw(self, request: ChatRequest, question: QuestionCounts, attempt: int) -> Fault | None:
        if self.capacity is not None and self.stats.in_flight > self.capacity:
            return Fault("429", self.faults.retry_after_s)
        identity = request.identity
        passing = self.faults.passing_fault(identity, attempt, question.failures)
        return passing or self.faults.spoiled_answer(identity)

    async def _fail(self, http: web.Request, writer: ResponseWriter, fault: Fault) -> web.StreamResponse:
        if fault.kind == "stall":
            await self._wait(None)
        if fault.kind == "html":
            page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
            return web.Response(status=502, text=page, content_type="text/html")
        if fault.kind == "no_choices":
            return web.json_response({**writer.whole(Completion("", "stop", 0, 0)), "choices": []})
        if fault.status is None:
            return _cut_off(http)
        headers = {}
        if fault.retry_after_s is not None:
            headers["Retry-After"] = f"{fault.retry_after_s:g}"
        code = "rate_limit_exceeded" if fault.status == 429 else "injected_fault"
        message = f"Injected fault: status {fault.status}."
        raise ProtocolError(fault.status, message, code=code, headers=headers)

    async def _wait(self, seconds: float | None) -> None:
        """Wait; None: until the client disconnects (then this is cancelled) or the server closes."""
        assert self.closing is not None
        done, _ = await asyncio.wait([self.closing], timeout=seconds)
        if done:
            raise _Closing


def _cut_off(http: web.Request) -> web.Response:
    """Reset the connection (RST, not a clean end). The response returned goes nowhere."""
    if http.transport is not None:
        connection = http.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        http.transport.abort()
    return web.Response()
