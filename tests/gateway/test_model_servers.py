"""Model servers that are not ours: legal answers of unusual form, refusals, slow answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from aiohttp import web

from babyai_kit import connect, run_experiment
from babyai_kit.errors import ModelError
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

Body = dict[str, Any]
PLAN: Body = {"variants": ["baseline"], "tasks": ["goto"], "seeds": [1]}
STEPS = 64


def plain(content: str | None = '{"action": "turn left"}') -> Body:
    """The smallest usual answer: an agent that turns for ever."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "theirs",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    }


@pytest.fixture
def served(data: Path, monkeypatch: pytest.MonkeyPatch):
    """A session on a server that answers each request body by a function; and the bodies it got."""

    @asynccontextmanager
    async def opened(answer: Callable[[Body], Any], **settings: str) -> AsyncIterator[tuple[Any, list[Body]]]:
        asked: list[Body] = []

        async def chat(request: web.Request) -> web.Response:
            asked.append(await request.json())
            reply = answer(asked[-1])
            if asyncio.iscoroutine(reply):
                reply = await reply
            return reply if isinstance(reply, web.Response) else web.json_response(reply)

        app = web.Application()
        app.router.add_post("/api/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1")
        monkeypatch.setenv("AGENT_MODEL", "theirs")
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            yield session, asked
        await runner.cleanup()

    return opened


async def run_one(session: Any, results: Path, **changed: Any) -> pd.Series:
    episodes = await run_experiment(session, "r", **(PLAN | changed), results=results, progress=False)
    return episodes.loc[0]


def without_usage(_: Body) -> Body:
    return {k: v for k, v in plain().items() if k != "usage"}


def with_null_usage(_: Body) -> Body:
    return plain() | {"usage": None}


@pytest.mark.parametrize("answer", [without_usage, with_null_usage])
async def test_tokens_are_unknown_where_the_server_does_not_tell_them(served, tmp_path, answer):
    # A price is known, and there is nothing to multiply it with.
    async with served(answer, AGENT_MODEL="gpt-4o-mini") as (session, _):
        row = await run_one(session, tmp_path)
    assert (row["status"], row["episode_length"], row["invalid_actions"]) == ("ok", STEPS, 0)
    assert pd.isna([row["input_tokens"], row["output_tokens"], row["cost_usd"]]).all()


async def test_more_fields_than_expected_do_no_harm(served, tmp_path):
    def answer(_: Body) -> Body:
        body = plain()
        body["choices"][0]["message"] |= {"reasoning_content": "hm", "refusal": None, "annotations": []}
        body["choices"][0] |= {"logprobs": None, "stop_reason": None}
        body["usage"] |= {"prompt_tokens_details": {"cached_tokens": 0}, "cost": "free"}
        return body | {"system_fingerprint": None, "service_tier": "x", "kv_transfer_params": None}

    async with served(answer) as (session, asked):
        row = await run_one(session, tmp_path, temperature=0.5, max_tokens=99)
    assert (row["status"], row["invalid_actions"], row["input_tokens"]) == ("ok", 0, 10 * STEPS)
    step = asked[-1]
    assert step["stream"] is False
    assert (step["model"], step["temperature"], step["max_completion_tokens"]) == ("theirs", 0.5, 99)
    assert step["response_format"] == {"type": "json_object"}
    assert isinstance(step["seed"], int)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: plain(None),
        lambda _: plain(""),
        lambda _: (
            plain('{"acti') | {"choices": [plain('{"acti')["choices"][0] | {"finish_reason": "length"}]}
        ),
        lambda _: plain("I turn left."),
    ],
    ids=["null", "empty", "cut off", "prose"],
)
async def test_answers_without_an_action_are_the_agents(served, tmp_path, answer):
    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path)
    assert row["status"] == "ok"
    assert row["invalid_actions"] == row["episode_length"]


@pytest.mark.parametrize("status", [400, 422, 501])
async def test_a_server_without_json_mode_is_asked_without_it(served, tmp_path, capsys, status):
    def answer(body: Body) -> Any:
        if "response_format" in body:
            return web.json_response({"error": {"message": "unknown field response_format"}}, status=status)
        return plain()

    async with served(answer) as (session, asked):
        row = await run_one(session, tmp_path)
    assert (row["status"], row["invalid_actions"]) == ("ok", 0)
    assert "theirs answers only without JSON mode" in capsys.readouterr().out
    assert sum("response_format" in body for body in asked) <= 2
    assert len(asked) <= 3 + STEPS


async def test_a_parameter_that_the_server_refuses_is_told_before_the_plan(served, tmp_path):
    def answer(body: Body) -> Any:
        if "seed" in body:
            return web.json_response({"error": {"message": "seed is not supported"}}, status=400)
        return plain()

    async with served(answer) as (session, asked):
        with pytest.raises(ModelError, match="seed is not supported"):
            await run_one(session, tmp_path)
        assert len(asked) == 2
        row = await run_one(session, tmp_path, call_seeds=False)
    assert row["status"] == "ok"


async def test_slow_answers_are_waited_for(served, tmp_path):
    slow = iter([0, 0, 3])

    async def answer(_: Body) -> Body:
        await asyncio.sleep(next(slow, 0))
        return plain()

    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path)
    assert row["status"] == "ok"
    assert row["wall_s"] > 3


async def test_a_server_that_never_answers_is_given_up_after_the_timeout_set(served, tmp_path):
    async def answer(_: Body) -> Body:
        await asyncio.sleep(60)
        return plain()

    async with served(answer, AGENT_TIMEOUT_MS="300") as (session, asked):
        with pytest.raises(ModelError, match="did not answer in time"):
            await run_one(session, tmp_path)
    assert len(asked) == 3
