"""How an agent's calls are answered: by the model, through queue, retries and journal; or, while an episode
is brought to where it broke off, by what was recorded."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from PIL import Image

from babyai_kit.agents.interface import Message, Reply, Turn
from babyai_kit.configuration.dialects import Dialect
from babyai_kit.errors import InputError, KitError, ServiceError
from babyai_kit.experiment.retries import Retries
from babyai_kit.gateway.protocol import Answer, ChatMessage, Question
from babyai_kit.gateway.session import Session
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import CallRecord, EpisodeKey


class AskedOtherwise(KitError):
    """An agent that is given its recorded answers asks something else than it asked before."""


@dataclass(frozen=True)
class Line:
    """What carries an episode's calls to the model."""

    session: Session
    sampling: Sampling
    dialect: Dialect
    slot: Callable[[int], AbstractAsyncContextManager[None]]
    """Held during a call; its argument is the number of steps that are left."""
    persistently: Retries


class Asker:
    """The `ask` of one episode. `begin` says which step comes, and what was recorded of it.

    `chats`: the agent is one of Python code and no variant of `config/`. `record`: gets every call as soon as
    it is answered; None for an agent whose calls are its steps.
    """

    def __init__(
        self,
        line: Line,
        key: EpisodeKey,
        *,
        variant_digest: str,
        episode_id: str,
        tags: Mapping[str, str],
        served_as: str,
        pinned: bool,
        chats: bool,
        record: Callable[[CallRecord], None] | None,
    ) -> None:
        self._answered: list[CallRecord] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failure: Exception | None = None
        """What ended a call, even if the agent went on."""
        self._line = line
        self._key = key
        self._digest = variant_digest
        self._episode_id = episode_id
        self._tags = tags
        self._served_as = served_as
        self._pinned = pinned
        self._chats = chats
        self._record = record
        self._step = self._steps_left = self._asked = 0
        self._recorded: Mapping[int, CallRecord] = {}
        self._live = True

    def begin(
        self, step: int, *, steps_left: int, recorded: Sequence[CallRecord] = (), live: bool = True
    ) -> None:
        """The agent's next calls belong to `step`. Those `recorded` are answered from there; others are asked
        if `live`."""
        self._answered, self._asked = [], 0
        self._step, self._steps_left = step, steps_left
        self._recorded, self._live = {call.call: call for call in recorded}, live

    @property
    def answered(self) -> list[CallRecord]:
        """The answered calls of the present step, in the order in which they were asked."""
        return sorted(self._answered, key=lambda call: call.call)

    async def close(self) -> None:
        """End the calls that the agent has left behind, as when one of several at once fails."""
        left = self._tasks - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def __call__(
        self,
        messages: Sequence[Message] | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        earlier: Sequence[Turn] = (),
        variant: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """See `agents.interface.Ask`. Raises InputError for a call of another form, AskedOtherwise where what
        was recorded belongs to another call, and the ServiceError that ends the episode."""
        try:
            return await self._reply(messages, arguments, earlier, variant, temperature, max_tokens)
        except Exception as error:
            self.failure = self.failure or error
            raise

    async def embed(self, texts: Sequence[str], model: str = "") -> list[list[float]]:
        """See `agents.interface.Embed`. Outside of the queue: an embedding is no call of the model."""

        async def once() -> list[list[float]]:
            return await self._line.session.embed(texts, model)

        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await self._line.persistently(once)
        except Exception as error:
            self.failure = self.failure or error
            raise
        finally:
            self._tasks.discard(task)

    async def _reply(
        self,
        messages: Sequence[Message] | None,
        arguments: Mapping[str, Any] | None,
        earlier: Sequence[Turn],
        variant: str | None,
        temperature: float | None,
        max_tokens: int | None,
    ) -> Reply:
        number, self._asked = self._asked, self._asked + 1
        question = self._question(number, messages, arguments, earlier, variant, temperature, max_tokens)
        request = digest(question)
        if (call := self._recorded.get(number)) is not None:
            if call.request and call.request != request:
                raise AskedOtherwise(f"call {number} of step {self._step} asks something else than it did")
        elif not self._live:
            raise AskedOtherwise(f"step {self._step} asks more often than it did")
        else:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                call = await self._ask(question, number, request)
            except ServiceError as error:
                if variant and question.served_as != variant and error.kind == "unknown function":
                    # Each model's variants are defined for the agents that say which they ask.
                    raise InputError(
                        f"the gateway has no {variant} for {question.model}, which the agent "
                        f"{self._key.variant} asks; write @agent(..., asks={{{variant!r}: 1.0}}), or run "
                        "make up for a gateway over HTTP"
                    ) from None
                raise
            finally:
                self._tasks.discard(task)
        self._answered.append(call)
        parsed = None if call.parsed is None else json.loads(call.parsed)
        return Reply(call.answer or "", parsed, call.finish_reason, call.input_tokens, call.output_tokens)

    async def _ask(self, question: Question, number: int, request: str) -> CallRecord:
        async def once() -> CallRecord:
            async with self._line.slot(self._steps_left):
                answer = await self._line.session.ask(question)
                call = call_record(
                    self._key,
                    answer,
                    variant_digest=self._digest,
                    episode_id=self._episode_id,
                    step=self._step,
                    call=number,
                    request=request,
                )
                # Before the slot is released: what was paid for is never lost.
                if self._record:
                    self._record(call)
                return call

        return await self._line.persistently(once)

    def _question(
        self,
        number: int,
        messages: Sequence[Message] | None,
        arguments: Mapping[str, Any] | None,
        earlier: Sequence[Turn],
        variant: str | None,
        temperature: float | None,
        max_tokens: int | None,
    ) -> Question:
        if (messages is None) == (arguments is None):
            raise InputError(
                "ask() takes messages, or the arguments of a variant's template; give one of them"
            )
        if earlier and arguments is None:
            raise InputError(
                "ask(earlier=...) needs arguments=...; put earlier turns of a chat into messages"
            )
        if arguments is not None and (variant is None and self._chats):
            raise InputError("ask(arguments=...) of an agent needs variant=..., one of config/")
        sampling, model, served_as = self._line.sampling, self._key.model, self._served_as
        if variant is not None:
            (asked,) = self._line.session.config.agents([variant], [model])
            model, served_as = asked.model.name, asked.served_as
        return Question(
            variant or self._key.variant,
            self._episode_id,
            arguments or {},
            tuple(earlier),
            messages=None if messages is None else tuple(map(_chat_message, messages)),
            model=model,
            served_as=served_as,
            pinned=self._pinned and variant is None,
            tags={**self._tags, "step": str(self._step), **({"call": str(number)} if self._chats else {})},
            seed=self._key.call_seed(self._step, number) if sampling.call_seeds else None,
            temperature=sampling.temperature if temperature is None else temperature,
            max_tokens=max_tokens or sampling.max_tokens,
            reasoning_effort=sampling.reasoning_effort,
            thinking_budget_tokens=sampling.thinking_budget_tokens,
            dialect=self._line.dialect,
        )


def call_record(
    key: EpisodeKey,
    answer: Answer,
    *,
    variant_digest: str,
    episode_id: str,
    step: int,
    call: int = 0,
    request: str = "",
) -> CallRecord:
    """What is recorded of an answered call."""
    return CallRecord(
        **vars(key),
        variant_digest=variant_digest,
        episode_id=episode_id,
        step=step,
        call=call,
        request=request,
        answer=answer.raw,
        parsed=None if answer.parsed is None else json.dumps(answer.parsed),
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cost_usd=answer.cost_usd,
        call_s=answer.call_s,
        inference_id=answer.inference_id,
        finish_reason=answer.finish_reason,
        cached_tokens=answer.cached_tokens,
        reasoning_tokens=answer.reasoning_tokens,
    )


def digest(question: Question) -> str:
    """12 hex digits over what the agent asks for: words, pictures, variant and settings of the call."""
    images = [hashlib.sha256(image).hexdigest() for m in question.messages or () for image in m.images]
    words = [(m.role, m.text) for m in question.messages or ()]
    asked: list[Any] = [
        question.variant,
        dict(question.arguments),
        words,
        images,
        question.temperature,
        question.max_tokens,
    ]
    if question.earlier:  # else as in runs from before there were dialogues
        asked.append([(dict(turn.arguments), turn.answer) for turn in question.earlier])
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _chat_message(message: Message) -> ChatMessage:
    pictures = []
    for image in message.images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="PNG")
        pictures.append(file.getvalue())
    return ChatMessage(message.role, message.content, tuple(pictures))
