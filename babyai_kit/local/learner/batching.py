"""A model behind the chat endpoint: calls that arrive while others are in progress share the next batch.

All models share one thread, in which PyTorch works; the event loop only collects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.sampling import MAX_ANSWER_TOKENS, GenerationRequest, generate
from babyai_kit.local.learner.tokenizer import TOKEN, TURN, decode, encode_prompt, read_prompt
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.completion import ModelAnswer
from babyai_kit.local.player.policy_answer import answer_rng

Generate = Callable[[Transformer, Sequence[GenerationRequest]], "list[list[int]]"]
_Call = tuple[ChatRequest, "asyncio.Future[ModelAnswer]"]


def torch_thread(threads: int) -> ThreadPoolExecutor:
    """A single thread, within which PyTorch may use `threads` threads."""
    return ThreadPoolExecutor(1, "learner", initializer=torch.set_num_threads, initargs=(threads,))


class BatchedPlayer:
    """Answers chat requests by a model, which `load` provides at the first call.

    max_batch: calls in a batch. generate: how a batch is answered.
    """

    def __init__(
        self,
        load: Callable[[], Transformer],
        thread: ThreadPoolExecutor,
        *,
        max_batch: int = 256,
        generate: Generate = generate,
    ) -> None:
        self._load, self._thread = load, thread
        self._max_batch, self._generate = max_batch, generate
        self._model: Transformer | None = None
        self._waiting: list[_Call] = []
        self._batches: asyncio.Task[None] | None = None

    async def __call__(self, request: ChatRequest) -> ModelAnswer:
        answer: asyncio.Future[ModelAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._batches is None or self._batches.done():
            self._batches = asyncio.get_running_loop().create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            # A client that disconnected has cancelled its call.
            calls = [call for call in batch if not call[1].done()]
            if calls:
                await self._answer(calls)

    async def _answer(self, calls: list[_Call]) -> None:
        requests = [request for request, _ in calls]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self._generate_answers, requests)
        except Exception as error:
            for _, future in calls:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(calls, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _generate_answers(self, chat_requests: list[ChatRequest]) -> list[ModelAnswer]:
        if self._model is None:
            self._model = self._load()
        max_prompt = self._model.shape.context - MAX_ANSWER_TOKENS
        requests = [_generation_request(request, max_prompt) for request in chat_requests]
        answers = self._generate(self._model, requests)
        return [
            ModelAnswer(decode(answer), len(request.prompt), len(answer), truncated=answer[-1] != TOKEN[TURN])
            for request, answer in zip(requests, answers, strict=True)
        ]


def _generation_request(request: ChatRequest, max_prompt: int) -> GenerationRequest:
    return GenerationRequest(
        encode_prompt(read_prompt(request.messages), max_prompt),
        answer_rng(request),
        request.temperature,
        min(request.max_tokens or MAX_ANSWER_TOKENS, MAX_ANSWER_TOKENS),
    )
