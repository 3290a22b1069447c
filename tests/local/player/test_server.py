"""The protocol over HTTP: answers, refusals, streams, keys, models, start and stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import warnings
from typing import Any

import aiohttp
import pytest

from babyai_kit.cli.player import add_arguments
from babyai_kit.configuration.models import OFFLINE_MODEL
from babyai_kit.errors import InputError
from babyai_kit.local.player import ChatRequest, OfflinePlayer
from babyai_kit.local.player.lazy_trainer import LazyTrainer
from babyai_kit.local.player.model_directory import ServedModel
from babyai_kit.local.player.server import serve
from babyai_kit.local.player.trainer import Trainer
from babyai_kit.tokens import count_prompt, count_text
from tests.support.messages import THINKING_RULES, body, messages, until

Answer = tuple[int, dict[str, Any]]


async def post(player: OfflinePlayer, request: Any, key: str | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession(player.base_url, headers=headers) as client,
        client.post("chat/completions", json=request) as answer,
    ):
        return answer.status, await answer.json()


async def fetch(url: str) -> Answer:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.json()


async def test_completion_has_openais_shape() -> None:
    async with OfflinePlayer() as player:
        status, answer = await post(player, body(rules=THINKING_RULES, seed=1, temperature=0))
    assert status == 200
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["model"] == OFFLINE_MODEL
    assert "no-LLM" in answer["system_fingerprint"]
    (choice,) = answer["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"]["role"] == "assistant"
    text = choice["message"]["content"]
    assert json.loads(text)["action"] == "go forward"
    prompt = messages(
        "go to the red ball",
        "a wall 4 steps forward\na red ball 1 step left and 2 steps forward",
        rules=THINKING_RULES,
    )
    usage = answer["usage"]
    assert usage["prompt_tokens"] == count_prompt(prompt)
    assert usage["completion_tokens"] == count_text(text)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_same_seed_same_answer_over_restarts() -> None:
    texts = []
    for _ in range(2):
        async with OfflinePlayer() as player:
            answers = [await post(player, body(seed=seed)) for seed in range(20)]
            texts.append([a["choices"][0]["message"]["content"] for _, a in answers])
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 1


async def test_preflight_and_limits() -> None:
    ping = {"model": OFFLINE_MODEL, "messages": [{"role": "user", "content": "ping"}]}
    async with OfflinePlayer(usage=False) as player:
        _, answer = await post(player, ping)
        assert json.loads(answer["choices"][0]["message"]["content"])["action"]
        assert "usage" not in answer
        _, answer = await post(player, {**ping, "max_tokens": 2})
        assert answer["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("tools", [False, True])
async def test_stream(tools: bool) -> None:
    request = body(seed=1, temperature=0, stream=True, stream_options={"include_usage": True})
    if tools:
        tool = {"type": "function", "function": {"name": "respond", "parameters": {}}}
        request |= {"tools": [tool], "tool_choice": "required"}
    async with (
        OfflinePlayer() as player,
        aiohttp.ClientSession(player.base_url) as client,
        client.post("chat/completions", json=request) as answer,
    ):
        assert answer.content_type == "text/event-stream"
        lines = [line for line in (await answer.text()).split("\n\n") if line]
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    deltas = [choice["delta"] for choice in choices]
    if tools:
        (call,) = deltas[0]["tool_calls"]
        text = call["function"]["arguments"]
    else:
        text = "".join(delta.get("content") or "" for delta in deltas)
    assert json.loads(text) == {"action": "go forward"}
    end = "tool_calls" if tools else "stop"
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + [end]


async def test_refusals_have_openais_shape() -> None:
    async with OfflinePlayer() as player:
        status, answer = await post(player, body(model="gpt-9"))
        assert (status, answer["error"]["code"]) == (404, "model_not_found")
        status, answer = await post(player, {"model": OFFLINE_MODEL})
        assert (status, answer["error"]["param"]) == (400, "messages")
        assert (await fetch(player.base_url + "models/gpt-9"))[0] == 404
        for path, expected in (("v1/chats", 404), ("", 404), ("v1/chat/completions", 405)):
            status, answer = await fetch(f"http://127.0.0.1:{player.port}/{path}")
            assert status == expected
            assert answer["error"]["type"] == "invalid_request_error"
        huge = body(observation="x" * 17 * 1024**2)
        assert (await post(player, huge))[0] == 413
        assert player.stats.refused == 3
        assert player.stats.answers == 0


@pytest.mark.parametrize("path", ["models", "files", "fine_tuning/jobs", f"models/{OFFLINE_MODEL}"])
async def test_everything_is_at_openai_too_behind_the_same_key(path: str) -> None:
    """There a gateway looks for OpenAI whose internal variable names this server."""
    async with OfflinePlayer(api_key="k") as player:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{player.port}/openai/") as stranger:
            async with stranger.get(path) as refused:
                assert refused.status == 401
            async with stranger.post("chat/completions", json=body()) as refused:
                assert refused.status == 401
        assert player.stats.refused == 1
        headers = {"Authorization": "Bearer k"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{player.port}", headers=headers) as client:
            async with client.get(f"/openai/{path}") as one, client.get(f"/v1/{path}") as other:
                assert (one.status, await one.json()) == (200, await other.json())
            async with client.post("/openai/chat/completions", json=body(seed=1)) as answer:
                assert json.loads((await answer.json())["choices"][0]["message"]["content"])["action"]
            async with client.post("/openai/embeddings", json={"model": OFFLINE_MODEL, "input": "a"}) as no:
                assert no.status == 400


async def test_models() -> None:
    async with OfflinePlayer(aliases=["gpt-4o-mini-2024-07-18"]) as player:
        _, listed = await fetch(player.base_url + "models")
        assert [card["id"] for card in listed["data"]] == [OFFLINE_MODEL, "gpt-4o-mini-2024-07-18"]
        assert all("no LLM" in card["owned_by"] for card in listed["data"])
        _, card = await fetch(player.base_url + f"models/{OFFLINE_MODEL}")
        assert card == listed["data"][0]
        status, answer = await post(player, body(model="gpt-4o-mini-2024-07-18"))
        assert (status, answer["model"]) == (200, "gpt-4o-mini-2024-07-18")


async def test_key() -> None:
    async with OfflinePlayer(api_key="right") as player:
        for key in (None, "wrong-canary", "rightt"):
            status, answer = await post(player, body(), key)
            assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
            assert "canary" not in json.dumps(answer)
        assert (await post(player, body(), "right"))[0] == 200
        assert (await fetch(player.base_url + "models"))[0] == 401
        assert (player.stats.requests, player.stats.refused, player.stats.answers) == (4, 3, 1)


async def test_stats() -> None:
    async with OfflinePlayer(latency_s=0.05) as player:
        await asyncio.gather(*(post(player, body(seed=seed % 3)) for seed in range(6)))
        _, stats = await fetch(f"http://127.0.0.1:{player.port}/stats?identities=1")
    assert stats["requests"] == stats["answers"] == 6
    assert stats["distinct_requests"] == 3
    assert stats["repeated_answers"] == 3
    assert stats["max_in_flight"] == 6
    assert stats["in_flight"] == 0
    assert list(stats["answers_by_identity"].values()) == [2, 2, 2]


async def test_close_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        player = await OfflinePlayer(faults={"stall": 1.0}).__aenter__()
        waiting = asyncio.ensure_future(post(player, body()))
        await until(lambda: player.stats.faults["stall"])
        await player.close()
        await player.close()
        with pytest.raises(aiohttp.ClientError):
            await waiting
        with pytest.raises(aiohttp.ClientError):
            await post(player, body())
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
    assert player.stats.in_flight == 0


async def test_close_cuts_off_calls_that_wait_for_anything() -> None:
    """A delay and a script that never ends do not hold up the end."""

    async def never(_: ChatRequest) -> str:
        await asyncio.Event().wait()
        return ""

    before = asyncio.all_tasks()
    for player in (OfflinePlayer(latency_s=60), OfflinePlayer(answers=never)):
        async with player:
            waiting = asyncio.ensure_future(post(player, body()))
            await until(lambda player=player: player.stats.in_flight)  # type: ignore[misc]
            start = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - start < 5
        with pytest.raises(aiohttp.ClientError):
            await waiting
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before


async def test_another_kind_of_model_is_another_entry() -> None:
    async def answer(request: ChatRequest) -> str:
        await asyncio.sleep(0)
        return f"{len(request.messages)} messages"

    async with OfflinePlayer() as player:
        player.models["ft:other"] = ServedModel(answer, owner="me", fingerprint="other")
        _, reply = await post(player, body(model="ft:other"))
        assert reply["choices"][0]["message"]["content"] == "2 messages"
        assert reply["system_fingerprint"] == "other"
        assert (await fetch(player.base_url + "models/ft:other"))[1]["owned_by"] == "me"


async def test_bad_options() -> None:
    async with OfflinePlayer() as player:
        with pytest.raises(InputError, match="taken"):
            async with OfflinePlayer(player.port):
                pass
    for options in ({"port": 70000}, {"latency_s": -1}, {"faults": "fire=1"}, {"capacity": -1}):
        with pytest.raises(InputError):
            OfflinePlayer(**options)  # type: ignore[arg-type]


def test_command_line_serves_until_told_to_stop() -> None:
    flags = ["--port", "0", "--faults", "malformed=1", "--alias", "m", "--no-usage"]
    process = subprocess.Popen(
        [sys.executable, "-m", "babyai_kit", "player", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        policy = "(hand-written policy, no LLM)"
        assert line.startswith(f"serving {OFFLINE_MODEL} {policy}, m {policy} at http://127.0.0.1:")
        status, answer = asyncio.run(fetch(line.split()[-1] + "models"))
        assert (status, answer["data"][1]["id"]) == (200, "m")
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in errors


async def test_the_first_line_names_other_models_too() -> None:
    def load() -> Trainer:
        raise AssertionError("nobody asked it")

    lines: list[str] = []
    parrot = LazyTrainer(load, models=("parrot",), owner="babyai-kit (a bird)", fingerprint="parrot")
    server = asyncio.create_task(serve(0, trainers=[parrot], on_ready=lines.append))
    await until(lambda: lines)
    server.cancel()
    assert ", parrot (a bird) at http://" in lines[0]


def test_flags_have_the_defaults_of_the_server() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args([])
    assert (args.port, args.faults, args.latency_s, args.api_key) == (18124, "", 0.0, None)
