"""A model behind the chat endpoint: from requests to prompts in tokens, from tokens to answers.

All models share one thread, in which PyTorch works; the event loop only hands over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from babyai_kit.local.language_model.answers import (
    GrowingAnswer,
    finished_answer,
    invalid_schema,
    invalid_tool,
)
from babyai_kit.local.language_model.constraints import Constraint, SchemaError
from babyai_kit.local.language_model.generation import Generation
from babyai_kit.local.language_model.shelf import Shelf
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.completion import ModelAnswer
from babyai_kit.local.player.policy_answer import answer_rng
from babyai_kit.local.player.protocol import ProtocolError

DEFAULT_MAX_TOKENS = 512
"""Of an answer, if the request names no limit."""


@dataclass(eq=False)
class _Call:
    request: ChatRequest
    answer: asyncio.Future[ModelAnswer]
    generation: Generation | None = None
    error: Exception | None = None
    growing: GrowingAnswer | None = None
    """Of a call that wants what there is of its answer; None: it does not, or nothing is there yet."""
    beginning: ModelAnswer | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is a longer `beginning` or the answer."""

    @property
    def ended(self) -> bool:
        return self.error is not None or (self.generation is not None and self.generation.ended)


class ChatPlayer:
    """Answers chat requests by the model stored in `folder`, or by the base model."""

    def __init__(self, shelf: Shelf, folder: Path | None, thread: ThreadPoolExecutor) -> None:
        self._shelf, self._folder, self._thread = shelf, folder, thread
        self._arrived: list[_Call] = []
        self._running: list[_Call] = []
        self._work: asyncio.Task[None] | None = None

    def __call__(self, request: ChatRequest) -> Awaitable[ModelAnswer] | AsyncGenerator[ModelAnswer, None]:
        # The arguments of a tool are sent in one piece.
        return self._grow(request) if request.stream and not request.tools else self._start(request).answer

    def _start(self, request: ChatRequest) -> _Call:
        loop = asyncio.get_running_loop()
        call = _Call(request, loop.create_future())
        self._arrived.append(call)
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._answer_all())
        return call

    async def _grow(self, request: ChatRequest) -> AsyncGenerator[ModelAnswer, None]:
        call = self._start(request)
        try:
            while not call.answer.done():
                await call.news.wait()
                call.news.clear()
                if call.beginning is not None and not call.answer.done():
                    yield call.beginning
            yield call.answer.result()
        finally:
            call.answer.cancel()  # of a client that has left

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._arrived or self._running:
            calls, self._arrived = self._running + self._arrived, []
            # A client that disconnected has cancelled its call.
            left = [call for call in calls if call.answer.done()]
            calls = [call for call in calls if not call.answer.done()]
            try:
                await loop.run_in_executor(self._thread, self._advance, calls, left)
            except Exception as error:
                for call in calls:
                    call.error = call.error or error
            for call in calls:
                if call.ended and not call.answer.done():
                    self._settle(call)
                elif call.request.stream and call.generation is not None:
                    self._tell(call, call.generation)
            # With those whose clients have left meanwhile.
            self._running = [call for call in calls if not call.ended]

    def _settle(self, call: _Call) -> None:
        try:
            if call.error is not None:
                raise call.error
            assert call.generation is not None
            answer = finished_answer(call.generation, call.request, self._shelf.library.tokenizer)
            call.answer.set_result(answer)
        except Exception as error:
            call.answer.set_exception(error)
        call.news.set()

    def _tell(self, call: _Call, generation: Generation) -> None:
        """Hand over what there is of an answer. Between passes: within one, another thread adds to it."""
        if call.growing is None:
            call.growing = GrowingAnswer(generation, self._shelf.library.tokenizer)
        if beginning := call.growing.grown():
            call.beginning = beginning
            call.news.set()

    def _advance(self, running: Sequence[_Call], left: Sequence[_Call]) -> None:
        ready = self._shelf.take(self._folder)
        for call in left:
            if call.generation is not None:
                ready.generator.drop(call.generation)
        for call in running:
            if call.generation is None:
                try:
                    call.generation = self._generation(call.request, ready.model.shape.context)
                    ready.generator.add(call.generation)
                except ProtocolError as error:
                    call.error = error
        try:
            ready.generator.step()
        except Exception:
            for call in running:
                if call.generation is not None:
                    ready.generator.drop(call.generation)
            raise

    def _generation(self, request: ChatRequest, context: int) -> Generation:
        tokenizer = self._shelf.library.tokenizer
        prompt = tokenizer.encode_chat(request.messages)
        if len(prompt) >= context:
            raise ProtocolError(
                400,
                f"This model's maximum context length is {context} tokens. However, your messages resulted "
                f"in {len(prompt)} tokens. Please reduce the length of the messages.",
                code="context_length_exceeded",
                param="messages",
            )
        try:
            return Generation(
                prompt,
                max_tokens=min(request.max_tokens or DEFAULT_MAX_TOKENS, context - len(prompt)),
                rng=answer_rng(request),
                ends=tokenizer.ends,
                temperature=request.temperature,
                top_p=request.top_p,
                constraint=self._constraint(request),
                top_logprobs=request.top_logprobs if request.logprobs else None,
                # Of several tools, the name is no text of the answer, in which a stop might be.
                is_stopped=self._stopper(request.stop) if request.stop and len(request.tools) < 2 else None,
            )
        except SchemaError as error:
            raise invalid_schema(error, request) from None

    def _constraint(self, request: ChatRequest) -> Constraint | None:
        """Raises ProtocolError for a tool whose schema is not supported, and SchemaError."""
        constraints = self._shelf.constraints
        for tool in request.tools:
            try:
                constraint = constraints.of_schema(tool.schema)
            except SchemaError as error:
                raise invalid_tool(error, tool) from None
            if len(request.tools) == 1:
                return constraint
        if request.tools:
            return constraints.of_calls({tool.name: tool.schema for tool in request.tools})
        return constraints.of_schema(request.schema or {"type": "object"}) if request.wants_json else None

    def _stopper(self, stops: Sequence[str]) -> Callable[[Sequence[int]], bool]:
        decode = self._shelf.library.tokenizer.decode
        # A token is a byte at least.
        longest = max(len(stop.encode()) for stop in stops) + 4
        return lambda answer: any(stop in decode(answer[-longest:]) for stop in stops)
