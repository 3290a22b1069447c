"""The language model behind the server, as the openai package meets it; its base is a tiny random one."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.local.language_model import NO_LLM

for name in ("torch", "gguf", "tokenizers", "llguidance", "safetensors"):
    pytest.importorskip(name, reason=NO_LLM)

from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.environment import ACTIONS
from babyai_kit.local.language_model import generation, shelf, weights
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.shelf import MODELS_IN_MEMORY, Shelf
from babyai_kit.local.language_model.trainer import LanguageModel
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.protocol import ProtocolError
from tests.support.messages import RULES, messages, until, user_text
from tests.support.tiny_llama import TINY, random_tensors

SCHEMA = {
    "type": "object",
    "properties": {"action": {"type": "string", "enum": list(ACTIONS)}},
    "required": ["action"],
    "additionalProperties": False,
}
STRICT = {"type": "json_schema", "json_schema": {"name": "act", "strict": True, "schema": SCHEMA}}


@pytest.fixture
def model(tiny: Library) -> LanguageModel:
    return LanguageModel(tiny)


@pytest.fixture
async def client(model: LanguageModel, tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        OfflinePlayer(trainers=[model], folder=tmp_path) as player,
        openai.AsyncOpenAI(base_url=player.base_url, api_key="none", max_retries=0) as client,
    ):
        yield client


def chat(text: str = "a red ball", **fields: Any) -> dict[str, Any]:
    pairs = messages("go to the red ball", text)
    turns = [{"role": role, "content": content} for role, content in pairs]
    return {"model": LANGUAGE_MODEL, "messages": turns, "max_tokens": 12, **fields}


async def answer(client: openai.AsyncOpenAI, text: str = "a red ball", **fields: Any) -> str:
    completion = await client.chat.completions.create(**chat(text, **fields))
    return completion.choices[0].message.content


async def test_an_answer_has_its_usage_and_reason(client: openai.AsyncOpenAI, tiny: Library):
    completion = await client.chat.completions.create(**chat(temperature=0))
    (choice,), usage = completion.choices, completion.usage
    prompt = tiny.tokenizer.encode_chat(messages("go to the red ball", "a red ball"))
    assert (choice.finish_reason, usage.completion_tokens) == ("length", 12)
    assert usage.prompt_tokens == len(prompt)
    assert usage.total_tokens == len(prompt) + 12
    assert usage.prompt_tokens_details.cached_tokens == 0
    again = await client.chat.completions.create(**chat(temperature=0))
    assert again.choices[0].message.content == choice.message.content
    assert again.usage.prompt_tokens_details.cached_tokens == len(prompt)


async def test_the_cached_part_of_a_dialogue_grows(client: openai.AsyncOpenAI):
    turns = [{"role": "system", "content": RULES}, {"role": "user", "content": user_text("go", "a wall")}]
    known, prompt = [], []
    for _ in range(4):
        completion = await client.chat.completions.create(
            model=LANGUAGE_MODEL, messages=turns, response_format=STRICT
        )
        known.append(completion.usage.prompt_tokens_details.cached_tokens)
        prompt.append(completion.usage.prompt_tokens)
        turns += [
            {"role": "assistant", "content": completion.choices[0].message.content},
            {"role": "user", "content": "a wall 2 steps forward"},
        ]
    for before, cached in zip(prompt, known[1:], strict=False):
        assert cached >= before


async def test_a_strict_answer_is_one_of_the_actions(client: openai.AsyncOpenAI):
    answers = [await answer(client, seed=seed, response_format=STRICT, max_tokens=40) for seed in range(20)]
    assert {json.loads(one)["action"] for one in answers} <= set(ACTIONS)
    assert len(set(answers)) > 1
    json_object = await answer(client, response_format={"type": "json_object"}, temperature=2)
    assert json_object.startswith("{")


async def test_a_tool_is_called_with_valid_arguments(client: openai.AsyncOpenAI):
    tool = {"type": "function", "function": {"name": "act", "parameters": SCHEMA}}
    completion = await client.chat.completions.create(
        **chat(tools=[tool], tool_choice={"type": "function", "function": {"name": "act"}}, logprobs=True)
    )
    (call,) = completion.choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["action"] in ACTIONS


WALK = {
    "type": "object",
    "properties": {"way": {"$ref": "#/$defs/way"}},
    "required": ["way"],
    "additionalProperties": False,
    "$defs": {"way": {"enum": ["left", "right"]}},
}
TOOLS = [
    {"type": "function", "function": {"name": "act", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "walk", "parameters": WALK}},
    {"type": "function", "function": {"name": "turn", "parameters": WALK}},
]
"""Two have references, each to its own definitions."""


async def test_the_model_chooses_among_tools(client: openai.AsyncOpenAI):
    called = set()
    for seed in range(24):
        completion = await client.chat.completions.create(
            **chat(tools=TOOLS, tool_choice="required", seed=seed, max_tokens=40)
        )
        (choice,) = completion.choices
        (call,) = choice.message.tool_calls
        field, values = ("action", ACTIONS) if call.function.name == "act" else ("way", ("left", "right"))
        assert json.loads(call.function.arguments) == {field: json.loads(call.function.arguments)[field]}
        assert json.loads(call.function.arguments)[field] in values
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        called.add(call.function.name)
    assert called == {"act", "walk", "turn"}


async def test_a_call_that_is_cut_off_has_what_there_is_of_it(client: openai.AsyncOpenAI):
    whole = chat(tools=TOOLS[:2], tool_choice="required", seed=1, max_tokens=40)
    (call,) = (await client.chat.completions.create(**whole)).choices[0].message.tool_calls
    texts = set()
    for limit in range(1, 24):
        (choice,) = (await client.chat.completions.create(**whole | {"max_tokens": limit})).choices
        if choice.finish_reason == "tool_calls":
            assert choice.message.tool_calls[0].function == call.function
            break
        assert choice.finish_reason == "length"
        for cut in choice.message.tool_calls or ():
            assert cut.function.name == call.function.name
            assert call.function.arguments.startswith(cut.function.arguments)
            texts.add(cut.function.arguments)
    assert limit < 23
    assert len(texts) > 2


@pytest.mark.parametrize("number", [0, 2])
async def test_a_tools_schema_that_is_not_supported_is_named(client: openai.AsyncOpenAI, number: int):
    bad = {"type": "function", "function": {"name": "bad", "parameters": {"type": "nonsense"}}}
    tools = [*TOOLS[:number], bad]
    with pytest.raises(openai.BadRequestError) as raised:
        await answer(client, tools=tools, tool_choice="required")
    assert raised.value.param == f"tools[{number}].function.parameters"
    assert raised.value.code == "invalid_function_parameters"
    assert "bad" in raised.value.message


async def test_a_seed_reproduces(client: openai.AsyncOpenAI):
    one, same = [await answer(client, seed=1) for _ in range(2)]
    others = {await answer(client, seed=seed) for seed in range(2, 6)}
    assert one == same
    assert len(others) > 1
    assert len({await answer(client, temperature=0, seed=seed) for seed in range(4)}) == 1
    assert len({await answer(client, top_p=1e-9, seed=seed) for seed in range(4)}) == 1


async def test_an_answer_stops_before_a_text_across_tokens(client: openai.AsyncOpenAI):
    whole = await answer(client, temperature=0, max_tokens=24)
    for start in range(1, len(whole) - 4, 7):
        stop = whole[start : start + 4]
        completion = await client.chat.completions.create(
            **chat(temperature=0, max_tokens=24, stop=["never this", stop], logprobs=True)
        )
        (choice,) = completion.choices
        assert choice.message.content == whole[: whole.index(stop)]
        assert choice.finish_reason == "stop"
        assert completion.usage.completion_tokens <= 24
        spelled = b"".join(bytes(token.bytes) for token in choice.logprobs.content)
        assert choice.message.content.encode().startswith(spelled)


@pytest.mark.parametrize("form", [{}, {"response_format": STRICT, "max_tokens": 40}], ids=["text", "schema"])
async def test_log_probabilities_spell_the_answer(client: openai.AsyncOpenAI, form: dict[str, Any]):
    for seed in range(4):
        completion = await client.chat.completions.create(
            **chat(seed=seed, logprobs=True, top_logprobs=2, **form)
        )
        (choice,) = completion.choices
        scores = choice.logprobs.content
        assert len(scores) == completion.usage.completion_tokens
        spelled = b"".join(bytes(score.bytes) for score in scores).decode("utf-8", "replace")
        assert spelled == choice.message.content
        assert all(score.logprob <= 0 for score in scores)
        for score in scores:
            assert [top.logprob for top in score.top_logprobs] == sorted(
                (top.logprob for top in score.top_logprobs), reverse=True
            )
        plain = await answer(client, seed=seed, **form)
        assert plain == choice.message.content


RARE = {"type": "string", "pattern": "^[\u9f00-\u9fa0\U0001f980-\U0001f9a0]{12}$"}
"""Characters that are several tokens."""


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("schema", [None, RARE], ids=["any", "rare"])
async def test_a_stream_is_the_answer_piece_by_piece(
    client: openai.AsyncOpenAI, model: LanguageModel, scored: bool, schema: dict[str, Any] | None
):
    several = 0
    form = {"type": "json_schema", "json_schema": {"name": "text", "schema": schema}} if schema else None
    for seed in range(4):
        fields = chat(seed=seed, max_tokens=32, logprobs=scored, response_format=form)
        text = (await client.chat.completions.create(**fields)).choices[0].message.content
        for stop in (None, text[4:5], text[6:8]):
            whole = await client.chat.completions.create(**fields, stop=stop)
            model._shelf._ready[None].generator._cache.clear()  # what is known comes at once
            stream = await client.chat.completions.create(
                **fields, stop=stop, stream=True, stream_options={"include_usage": True}
            )
            *chunks, last = [chunk async for chunk in stream]
            choices = [chunk.choices[0] for chunk in chunks]
            assert stop or len(choices) > 8
            assert "".join(one.delta.content or "" for one in choices) == whole.choices[0].message.content
            assert choices[-1].finish_reason == whole.choices[0].finish_reason
            assert last.usage.completion_tokens == whole.usage.completion_tokens
            if scored:
                rows = [row for one in choices if one.logprobs for row in one.logprobs.content]
                assert rows == whole.choices[0].logprobs.content
                several += sum("bytes:" in row.token for row in rows)
    assert several or not (scored and schema)


async def test_a_stream_comes_while_the_answer_is_computed(
    client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
):
    sampled, go_on, sample = [], threading.Event(), generation.sample

    def slow(*args: Any, **options: Any) -> int:
        if len(sampled) == 6:
            go_on.wait(60)
        sampled.append(sample(*args, **options))
        return sampled[-1]

    monkeypatch.setattr(generation, "sample", slow)
    stream = await client.chat.completions.create(**chat(seed=3, stream=True))
    pieces = aiter(stream)
    text = ""
    while not text:
        text = (await anext(pieces)).choices[0].delta.content or ""
    assert len(sampled) <= 6  # of 12
    go_on.set()
    assert len([piece async for piece in pieces]) > 3


async def test_a_client_that_leaves_a_stream_ends_its_answer(
    client: openai.AsyncOpenAI, model: LanguageModel
):
    endless = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "minLength": 4000}}}
    fields = chat(max_tokens=900, response_format=endless, stream=True)
    async with await client.chat.completions.create(**fields) as stream:
        await anext(aiter(stream))
        generator = model._shelf._ready[None].generator
        left = generator._active[0].generation
    await until(lambda: not generator.busy, seconds=60)
    assert not left.ended
    assert await answer(client)


async def test_a_stream_that_fails_says_so(
    client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**chat("a wall " * TINY.context, stream=True))
    assert refused.value.code == "context_length_exceeded"
    sampled, sample = [], generation.sample

    def failing(*args: Any, **options: Any) -> int:
        sampled.append(sample(*args, **options))
        if len(sampled) == 6:
            raise RuntimeError("out of memory")
        return sampled[-1]

    monkeypatch.setattr(generation, "sample", failing)
    stream = await client.chat.completions.create(**chat(seed=3, stream=True))
    pieces = []

    async def read() -> None:
        async for chunk in stream:
            pieces.extend(choice.delta.content for choice in chunk.choices)

    with pytest.raises(openai.APIError, match="The server failed"):
        await read()
    assert any(pieces)
    assert "out of memory" in caplog.text


async def test_what_the_model_cannot_do_is_refused(client: openai.AsyncOpenAI):
    with pytest.raises(openai.BadRequestError) as raised:
        await answer(client, "a wall " * TINY.context)
    assert (raised.value.code, raised.value.param) == ("context_length_exceeded", "messages")
    bad = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError) as raised:
        await answer(client, response_format=bad)
    assert raised.value.param == "response_format"
    assert await answer(client, max_tokens=1)  # others are answered as before


async def test_an_answer_goes_no_further_than_the_context(client: openai.AsyncOpenAI):
    completion = await client.chat.completions.create(
        **chat("a wall " * 300, temperature=1, max_tokens=TINY.context, stop=["never this"])
    )
    assert completion.usage.total_tokens <= TINY.context


async def test_calls_at_once_are_answered_as_one_by_one_and_some_may_leave(
    client: openai.AsyncOpenAI, model: LanguageModel
):
    texts = [f"a red ball {number} steps forward" for number in range(64)]
    calls = [asyncio.create_task(answer(client, text, seed=1, max_tokens=16)) for text in texts]
    await until(lambda: model._shelf._ready, seconds=60)
    for call in calls[::4]:
        call.cancel()
    together = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in together) == 16
    for number in (1, 2, 33):
        assert await answer(client, texts[number], seed=1, max_tokens=16) == together[number]


async def test_a_client_that_leaves_frees_its_place(client: openai.AsyncOpenAI, model: LanguageModel):
    endless = {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"type": "string", "minLength": 4000}},
    }
    call = asyncio.create_task(answer(client, max_tokens=900, response_format=endless))
    await until(lambda: model._shelf._ready, seconds=60)
    generator = model._shelf._ready[None].generator
    await until(lambda: generator._active and generator._active[0].generation.answer, seconds=60)
    left = generator._active[0].generation
    call.cancel()
    await until(lambda: not generator.busy, seconds=60)
    assert not left.ended
    assert await answer(client)


async def test_a_failure_within_the_model_harms_no_later_call(
    client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def failing(*_: object, **__: object) -> int:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(generation, "sample", failing)
        with pytest.raises(openai.InternalServerError):
            await answer(client)
    assert await answer(client)


def tuned(library: Library, folder: Path, seed: int) -> Path:
    """A model with other weights in its upper layer."""
    own = {name: tensor for name, tensor in random_tensors(seed).items() if ".layers.1." in name}
    weights.save(weights.Weights(TINY, own, library.base.digest), folder)
    return folder


def test_more_models_than_are_kept_answer_at_once(tiny: Library, tmp_path: Path):
    ready = Shelf(tiny)
    folders = [tuned(tiny, tmp_path / str(seed), seed) for seed in range(1, MODELS_IN_MEMORY + 3)]
    models = {folder: ready.take(folder).model for folder in folders}
    assert len(ready._ready) == MODELS_IN_MEMORY
    shared = {model.embedding.data_ptr() for model in models.values()}
    assert shared == {ready.take(None).model.embedding.data_ptr()}
    assert ready.take(folders[-1]).model is models[folders[-1]]
    assert ready.take(folders[0]).model is not models[folders[0]]


def test_the_models_that_are_kept_share_the_room_for_what_was_computed(
    tiny: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shelf, "CACHED_TOKENS", 300)
    ready, kept = Shelf(tiny), []
    folders = [tuned(tiny, tmp_path / str(seed), seed) for seed in range(1, 4)]
    for number in range(9):
        generator = ready.take(folders[number % 3]).generator
        prompt = [number, *range(100, 180)]
        generator.add(generation.Generation(prompt, 1, random.Random(0), frozenset(), temperature=0))
        while generator.busy:
            generator.step()
        kept.append(
            sum(ready._ready[folder].generator._cache.size for folder in folders if folder in ready._ready)
        )
    assert max(kept) <= 300
    assert min(kept[3:]) > 150


async def test_a_model_that_answers_is_not_put_away(
    tiny: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shelf, "MODELS_IN_MEMORY", 2)
    model = LanguageModel(tiny)
    model._shelf._places = 2
    folders = [tuned(tiny, tmp_path / str(seed), seed) for seed in range(1, 6)]
    request = ChatRequest(LANGUAGE_MODEL, (("user", "hello"),), temperature=0, max_tokens=10)
    players = [model.player(LANGUAGE_MODEL, folder) for folder in folders]
    alone = [(await player(request)).text for player in players]
    together = await asyncio.gather(*(player(request) for player in players for _ in range(2)))
    assert [one.text for one in together] == [text for text in alone for _ in range(2)]
    assert len(set(alone)) > 1


async def test_weights_that_cannot_be_read_are_a_refusal(tiny: Library, tmp_path: Path):
    model, folder = LanguageModel(tiny), tuned(tiny, tmp_path / "a", 1)
    (folder / weights.WEIGHTS_FILE).write_bytes(b"no weights")
    request = ChatRequest(LANGUAGE_MODEL, (("user", "hello"),))
    for call in (model.player(LANGUAGE_MODEL, folder)(request), model.embedder("", folder)(["a"])):
        with pytest.raises(ProtocolError, match="fine-tune the model again") as raised:
            await call
        assert (raised.value.status, raised.value.code) == (404, "model_not_found")
    assert (await model.player(LANGUAGE_MODEL, None)(request)).text


async def test_embeddings_are_vectors_of_length_1(client: openai.AsyncOpenAI):
    texts = ["a red ball", "a blue key", "a red ball", "\U00040000", "x" * 5000]
    result = await client.embeddings.create(model=LANGUAGE_MODEL, input=texts)
    vectors = [row.embedding for row in result.data]
    assert {len(vector) for vector in vectors} == {TINY.width}
    assert [sum(x * x for x in vector) for vector in vectors] == pytest.approx([1.0] * 5, abs=1e-5)
    assert vectors[0] == vectors[2] != vectors[1]
    alone = await client.embeddings.create(model=LANGUAGE_MODEL, input="a blue key")
    assert alone.data[0].embedding == vectors[1]
    assert result.usage.prompt_tokens > 10
