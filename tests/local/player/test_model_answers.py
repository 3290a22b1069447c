"""What a model that is no hand-written policy is asked for, and what of its answer is told: over HTTP, by a
model of one's own."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from babyai_kit.local.player import ChatRequest, OfflinePlayer
from babyai_kit.local.player.completion import ModelAnswer
from babyai_kit.local.player.logprobs import TokenLogprob
from babyai_kit.local.player.protocol import ProtocolError
from babyai_kit.local.player.trainer import Player, Trainer, TrainingJob, TrainingLog

TEXT = "I see 🟥, go forward"
SCHEMA = {"type": "object", "properties": {"action": {"enum": ["drop"]}}, "required": ["action"]}


def tokens_of(text: str) -> tuple[TokenLogprob, ...]:
    """Tokens of three bytes, which split characters; the second is impossible."""
    raw = text.encode()
    tokens = [raw[start : start + 3] for start in range(0, len(raw), 3)]
    chances = [-0.25, -math.inf, *[-0.5] * len(tokens)]
    return tuple(
        TokenLogprob(token, chance, ((token, chance), (b"x", -2.0), (b"\xf0", -3.0)))
        for token, chance in zip(tokens, chances, strict=False)
    )


class Parrot(Trainer):
    """Says TEXT and remembers what it was asked. growing: it says it token by token, if that is wanted."""

    models = ("parrot",)
    owner = fingerprint = "parrot"
    resumable = False

    def __init__(self, *, growing: bool = False) -> None:
        self.requests: list[ChatRequest] = []
        self._growing = growing

    def player(self, model: str, folder: Path | None) -> Player:
        async def grow(whole: ModelAnswer) -> AsyncGenerator[ModelAnswer, None]:
            for count in range(1, whole.completion_tokens):
                tokens = tokens_of(TEXT)[:count]
                text = b"".join(token.token for token in tokens).decode(errors="ignore")
                scores = whole.logprobs and tokens
                yield replace(whole, text=text, completion_tokens=count, logprobs=scores, growing=True)
            yield whole

        def answer(request: ChatRequest) -> ModelAnswer | AsyncGenerator[ModelAnswer, None]:
            whole = answer_at_once(request)
            return grow(whole) if request.stream and self._growing else whole

        def answer_at_once(request: ChatRequest) -> ModelAnswer:
            self.requests.append(request)
            if request.schema == {"type": "number"}:
                raise ProtocolError(400, "Only objects can be written.", param="response_format")
            if request.schema == {"type": "null"}:
                raise ZeroDivisionError("no numbers for anybody")
            tokens = tokens_of(TEXT)
            limit = len(tokens) if request.max_tokens is None else request.max_tokens
            text = b"".join(token.token for token in tokens[:limit]).decode("utf-8", "replace")
            return ModelAnswer(
                text,
                prompt_tokens=40,
                completion_tokens=limit,
                truncated=limit < len(tokens),
                cached_tokens=32,
                logprobs=tokens[:limit] if request.logprobs else None,
            )

        return answer

    async def train(self, job: TrainingJob, log: TrainingLog) -> None:
        raise NotImplementedError


@asynccontextmanager
async def served(parrot: Parrot) -> AsyncIterator[Any]:
    """A function that asks the parrot, with the openai package."""
    async with (
        OfflinePlayer(trainers=[parrot]) as player,
        openai.AsyncOpenAI(base_url=player.base_url, api_key="k", max_retries=0) as client,
    ):

        async def ask(**fields: Any) -> Any:
            messages = fields.pop("messages", [{"role": "user", "content": "hi"}])
            return await client.chat.completions.create(model="parrot", messages=messages, **fields)

        yield ask


async def test_the_model_gets_every_wish_about_its_answer() -> None:
    parrot = Parrot()
    form = {"type": "json_schema", "json_schema": {"name": "act", "strict": True, "schema": SCHEMA}}
    async with served(parrot) as ask:
        await ask()
        await ask(
            temperature=0.5,
            top_p=0.9,
            seed=7,
            stop=["\n", "."],
            max_tokens=50,
            max_completion_tokens=40,
            response_format=form,
            logprobs=True,
            top_logprobs=2,
        )
        await ask(response_format={"type": "json_object"})
    plain, full, free = parrot.requests
    assert (plain.temperature, plain.top_p, plain.seed, plain.stop, plain.max_tokens) == (
        1,
        1,
        None,
        (),
        None,
    )
    assert (plain.response_format, plain.schema, plain.wants_json) == ({"type": "text"}, None, False)
    assert (plain.logprobs, plain.top_logprobs) == (False, 0)
    assert (full.temperature, full.top_p, full.seed) == (0.5, 0.9, 7)
    assert (full.stop, full.max_tokens) == (("\n", "."), 40)
    assert (full.response_format, full.schema, full.wants_json) == (form, SCHEMA, True)
    assert (full.logprobs, full.top_logprobs) == (True, 2)
    assert (free.response_format, free.schema, free.wants_json) == ({"type": "json_object"}, None, True)


@pytest.mark.parametrize(
    ("parameters", "schema"), [({"parameters": SCHEMA}, SCHEMA), ({}, {"type": "object"})]
)
async def test_a_tool_is_a_schema_for_its_arguments(parameters: dict[str, Any], schema: Any) -> None:
    parrot = Parrot()
    tool = {"type": "function", "function": {"name": "act", **parameters}}
    asked = [{"role": "user", "content": "hi"}]
    async with served(parrot) as ask:
        answer = await ask(messages=asked, tools=[tool], tool_choice="required", logprobs=True)
        message = answer.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "done"}
        await ask(messages=[*asked, message.model_dump(exclude_none=True), result])
    first, second = parrot.requests
    assert [(tool.name, tool.schema) for tool in first.tools] == [("act", schema)]
    assert (first.schema, first.wants_json) == (schema, True)
    assert message.tool_calls[0].function.arguments == TEXT
    assert (message.content, answer.choices[0].logprobs) == (None, None)
    assert second.messages == (("user", "hi"), ("assistant", TEXT), ("tool", "done"))


async def test_a_call_ends_as_at_openai() -> None:
    """With another reason where the request names the function (the table in vllm-project/vllm#25054)."""
    tool = {"type": "function", "function": {"name": "act", "parameters": SCHEMA}}
    named = {"type": "function", "function": {"name": "act"}}
    reasons = {}
    async with served(Parrot()) as ask:
        for choice in ("required", named):
            for limit in (None, 3):
                answer = await ask(tools=[tool], tool_choice=choice, max_tokens=limit)
                assert answer.choices[0].message.tool_calls[0].function.name == "act"
                reasons[choice == "required", limit] = answer.choices[0].finish_reason
    assert reasons == {
        (True, None): "tool_calls",
        (True, 3): "length",
        (False, None): "stop",
        (False, 3): "length",
    }


async def test_usage_and_finish_reason_are_the_models_own() -> None:
    async with served(Parrot()) as ask:
        whole, cut, stopped = await ask(), await ask(max_tokens=3), await ask(stop=",", max_tokens=7)
    usage = whole.usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (40, 32)
    assert usage.total_tokens == 40 + usage.completion_tokens
    assert whole.choices[0].logprobs is None
    assert [answer.choices[0].finish_reason for answer in (whole, cut, stopped)] == ["stop", "length", "stop"]
    assert [answer.choices[0].message.content for answer in (whole, stopped)] == [TEXT, "I see 🟥"]


async def test_log_probabilities_of_each_token() -> None:
    async with served(Parrot()) as ask:
        answer = await ask(logprobs=True, top_logprobs=2)
        without = await ask(logprobs=True)
        stopped = await ask(logprobs=True, stop=" see")
    rows = answer.choices[0].logprobs.content
    assert b"".join(bytes(row.bytes) for row in rows).decode() == TEXT == answer.choices[0].message.content
    assert (rows[0].token, rows[0].logprob) == ("I s", -0.25)
    assert rows[1].logprob == -9999.0
    assert rows[2].token.startswith("bytes:\\xf0\\x9f")
    assert [(top.token, top.logprob) for top in rows[0].top_logprobs] == [("I s", -0.25), ("x", -2.0)]
    assert all(row.top_logprobs == [] for row in without.choices[0].logprobs.content)
    assert stopped.choices[0].message.content == "I"
    assert stopped.choices[0].logprobs.content == []  # its only token goes on beyond the stop


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("stop", [None, "go forw", "🟥", "see 🟩", "d", "\nnever"])
async def test_a_stream_has_the_text_and_the_log_probabilities_token_by_token(
    stop: str | None, growing: bool
) -> None:
    async with served(Parrot(growing=growing)) as ask:
        whole = await ask(logprobs=True, top_logprobs=1, stop=stop)
        stream = await ask(
            logprobs=True, top_logprobs=1, stop=stop, stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in stream]
    choices = [chunk.choices[0] for chunk in chunks]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert choices[-1].finish_reason == whole.choices[0].finish_reason
    assert {chunk.usage for chunk in chunks} == {None}
    assert len({chunk.id for chunk in [*chunks, last]}) == 1
    rows = [row for choice in choices if choice.logprobs for row in choice.logprobs.content]
    assert rows == whole.choices[0].logprobs.content
    assert last.usage == whole.usage


async def test_a_stream_is_sent_as_it_grows_but_for_what_may_be_a_stop() -> None:
    async with served(Parrot(growing=True)) as ask:
        stream = await ask(stop=["ee 🟥!", "forward!"], stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    # By tokens of three bytes; "ee " and "for" might have been the beginning of a stop.
    assert [piece for piece in pieces if piece] == ["I s", "ee 🟥, ", "go ", "forward"]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"top_p": 1.5}, "top_p"),
        ({"top_p": -0.1}, "top_p"),
        ({"seed": 2**63}, "seed"),
        ({"logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "number"}}}},
         "response_format"),
    ],
)  # fmt: skip
async def test_a_wish_out_of_range_is_refused(wrong: dict[str, Any], param: str) -> None:
    async with served(Parrot()) as ask:
        with pytest.raises(openai.BadRequestError) as raised:
            await ask(**wrong)
    assert raised.value.param == param


async def test_a_model_that_breaks_is_a_failure_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "null"}}}
    async with served(Parrot()) as ask:
        with pytest.raises(openai.InternalServerError) as raised:
            await ask(response_format=form)
        assert (await ask()).choices[0].message.content == TEXT
    assert raised.value.code == "server_error"
    assert json.loads(raised.value.response.text)["error"]["type"] == "server_error"
    assert "no numbers" in caplog.text
    assert "no numbers" not in raised.value.response.text
