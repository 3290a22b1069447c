"""Faults as a client meets them, and scripted answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from babyai_kit.local.player import ChatRequest, Fault, FaultPlan, OfflinePlayer
from tests.local.player.test_server import fetch, post
from tests.support.messages import body, until


def text_of(answer: dict[str, Any]) -> str | None:
    text: str | None = answer["choices"][0]["message"]["content"]
    return text


@pytest.mark.parametrize("kind", ["400", "401", "408", "429", "500", "503"])
async def test_statuses(kind: str) -> None:
    plan = FaultPlan({kind: 1.0}, retry_after_s=1.5)
    async with (
        OfflinePlayer(faults=plan) as player,
        aiohttp.ClientSession(player.base_url) as client,
        client.post("chat/completions", json=body(seed=1)) as answer,
    ):
        assert answer.status == int(kind)
        assert answer.headers["Retry-After"] == "1.5"
        assert "Injected" in (await answer.json())["error"]["message"]
        assert player.stats.faults == {kind: 1}


async def test_reset_cuts_the_connection() -> None:
    async with OfflinePlayer(faults="reset=1") as player:
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await post(player, body())


async def test_stall_lasts_until_the_client_goes() -> None:
    async with OfflinePlayer(faults="stall=1") as player:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(post(player, body()), 0.2)
        await until(lambda: not player.stats.in_flight)


async def test_proxies_page_and_missing_choices() -> None:
    async with (
        OfflinePlayer(faults="html=1") as player,
        aiohttp.ClientSession(player.base_url) as client,
        client.post("chat/completions", json=body()) as answer,
    ):
        assert (answer.status, answer.content_type) == (502, "text/html")
    async with OfflinePlayer(faults="no_choices=1") as player:
        assert (await post(player, body()))[1]["choices"] == []
        assert player.stats.answers == 0


@pytest.mark.parametrize("kind", ["malformed", "empty", "null", "invalid_action", "huge"])
async def test_spoiled_answers_stay_the_same(kind: str) -> None:
    async with OfflinePlayer(faults={kind: 1.0}) as player:
        status, answer = await post(player, body(seed=1, max_tokens=100))
        text = text_of(answer)
        again = [text_of((await post(player, body(seed=1, max_tokens=100)))[1]) for _ in range(3)]
    assert (status, again) == (200, [text] * 3)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert (text is None) == (kind == "null")
    assert (text == "") == (kind == "empty")
    if kind == "huge":
        assert answer["usage"]["completion_tokens"] > 10_000


async def test_retries_end_as_an_undisturbed_run() -> None:
    async def retried(player: OfflinePlayer, seed: int) -> str | None:
        for _ in range(10):
            status, answer = await post(player, body(seed=seed))
            if status == 200:
                return text_of(answer)
        raise AssertionError("no answer in 10 attempts")

    async def run(faults: str) -> list[str | None]:
        async with OfflinePlayer(faults=faults) as player:
            return await asyncio.gather(*(retried(player, seed) for seed in range(60)))

    assert await run("429=0.4,500=0.3,malformed=0.2") == await run("malformed=0.2")


async def test_capacity_refuses_what_is_too_much() -> None:
    async with OfflinePlayer(latency_s=0.2, capacity=3) as player:
        statuses = [s for s, _ in await asyncio.gather(*(post(player, body(seed=i)) for i in range(5)))]
        assert sorted(statuses) == [200, 200, 200, 429, 429]
        assert (await post(player, body(seed=9)))[0] == 200


async def test_latency_delays_the_answer() -> None:
    loop = asyncio.get_running_loop()
    async with OfflinePlayer(latency_s=0.2) as player:
        start = loop.time()
        await post(player, body())
        assert 0.19 < loop.time() - start < 2


async def test_scripted_queue() -> None:
    async with OfflinePlayer(answers=["one", Fault("429"), '{"action": "drop"}', Fault("empty")]) as player:
        assert text_of((await post(player, body()))[1]) == "one"
        assert (await post(player, body()))[0] == 429
        assert text_of((await post(player, body()))[1]) == '{"action": "drop"}'
        assert text_of((await post(player, body()))[1]) == ""
        status, answer = await post(player, body())
        assert (status, answer["error"]["code"]) == (400, "script_ended")


async def test_scripted_function() -> None:
    requests: list[ChatRequest] = []

    async def script(request: ChatRequest) -> str | Fault | None:
        requests.append(request)
        return "mine" if request.seed == 1 else None

    async with OfflinePlayer(answers=script) as player:
        assert text_of((await post(player, body(seed=1)))[1]) == "mine"
        assert json.loads(text_of((await post(player, body(seed=2)))[1]) or "")["action"]
        _, stats = await fetch(f"http://127.0.0.1:{player.port}/stats")
    assert [request.seed for request in requests] == [1, 2]
    assert stats["answers"] == 2
