"""A model behind a chat endpoint: calls that arrive while others are worked on share the next batch.

Knows chat requests and models; nothing of HTTP. All models share one thread, in which PyTorch works; the
event loop only collects.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.sampling import LONGEST_ANSWER, Ask, generate
from babyai_kit.local.learner.tokenizer import TOKEN, TURN, decode, encode_prompt, read_prompt
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.completion import Said

MOST_ROWS = 256
"""Calls in a batch."""


def worker(threads: int) -> ThreadPoolExecutor:
    """The one thread; PyTorch may use `threads` in it."""
    return ThreadPoolExecutor(1, "learner", initializer=torch.set_num_threads, initargs=(threads,))


class BatchedPlayer:
    """Answers chat requests by a model, which `load` provides at the first call."""

    def __init__(self, load: Callable[[], Transformer], thread: ThreadPoolExecutor) -> None:
        self._load, self._thread = load, thread
        self._model: Transformer | None = None
        self._waiting: list[tuple[ChatRequest, asyncio.Future[Said]]] = []
        self._serving: asyncio.Task[None] | None = None

    async def __call__(self, request: ChatRequest) -> Said:
        answer: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._serving is None or self._serving.done():
            self._serving = asyncio.get_running_loop().create_task(self._serve())
        return await answer

    async def _serve(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_ROWS], self._waiting[MOST_ROWS:]
            asked = [(request, answer) for request, answer in batch if not answer.done()]
            requests = [request for request, _ in asked]
            try:
                said = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, requests)
            except Exception as error:
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), one in zip(asked, said, strict=True):
                if not answer.done():
                    answer.set_result(one)

    def _answer(self, requests: list[ChatRequest]) -> list[Said]:
        if not requests:
            return []
        if self._model is None:
            self._model = self._load()
        room = self._model.shape.context - LONGEST_ANSWER
        asks = [_ask(request, room) for request in requests]
        answers = generate(self._model, asks)
        return [
            Said(decode(tokens), len(ask.prompt), len(tokens), cut=tokens[-1] != TOKEN[TURN])
            for ask, tokens in zip(asks, answers, strict=True)
        ]


def _ask(request: ChatRequest, room: int) -> Ask:
    # With a seed the same question gets the same answer, without one a fresh one.
    draw = random.Random() if request.seed is None else random.Random(int(request.identity, 16))
    limit = min(request.max_tokens or LONGEST_ANSWER, LONGEST_ANSWER)
    return Ask(encode_prompt(read_prompt(request.messages), room), draw, request.temperature, limit)
