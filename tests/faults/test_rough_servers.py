"""Model servers as they are, through the real gateway: limits, absences, cut answers, odd usage."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from typing import Any

import pandas as pd
import pytest
from aiohttp import web

from babyai_kit import run_experiment, write_report
from babyai_kit.errors import ModelError, NoValidAnswers
from babyai_kit.experiment.patience import Backoff
from babyai_kit.runs.answers import REMEDIES
from babyai_kit.runs.journal import read_steps
from babyai_kit.stats import UNKNOWN
from tests.support.model_server import Body, completion, model_server, refusal

pytestmark = pytest.mark.e2e

PLAN: dict[str, Any] = {"variants": ["baseline"], "tasks": ["goto"], "seeds": range(3), "progress": False}
PRICED = "gpt-4o-mini-2024-07-18"


async def test_a_window_with_retry_after_is_waited_out(open_session, tmp_path, capsys):
    """So many calls in a window, then refusals until the next one, as hosted models have it."""
    window_s, per_window = 1.0, 150
    used, refused, opens_at = 0, 0, 0.0

    def answer(_: Body) -> Any:
        nonlocal used, refused, opens_at
        now = time.monotonic()
        if 0 < opens_at <= now:
            used, opens_at = 0, 0.0
        used += 1
        if used <= per_window:
            return completion()
        opens_at = opens_at or now + window_s  # however long the calls before took
        refused += 1
        return refusal(429, "Rate limit reached", Retry_After=str(math.ceil(opens_at - now)))

    async with model_server(answer) as server, open_session(server.base_url) as session:
        episodes = await run_experiment(session, "r", **PLAN, max_concurrency=6, results=tmp_path)
    assert list(episodes["status"]) == ["ok"] * 3
    assert list(episodes["invalid_actions"]) == [0] * 3
    # Not more than the calls in flight at the end of each window; there are 3 episodes.
    assert 0 < refused <= 3 * math.ceil(len(server.asked) / per_window)


async def test_a_quota_that_is_used_up_stops_the_run_at_once(open_session, tmp_path):
    count = iter(range(10**6))

    def answer(_: Body) -> Any:
        if next(count) < 20:
            return completion()
        body = {"message": "You exceeded your current quota", "type": "insufficient_quota"}
        return web.json_response({"error": body | {"code": "insufficient_quota"}}, status=429)

    async with model_server(answer) as server, open_session(server.base_url) as session:
        with pytest.raises(ModelError, match=r"credit|billing") as raised:
            await run_experiment(session, "r", **PLAN, max_concurrency=2, results=tmp_path)
    assert raised.value.kind == "quota"
    assert len(server.asked) <= 20 + 2


async def test_a_server_that_is_away_for_a_while_loses_no_episode(open_session, tmp_path):
    """It is stopped in the middle and comes back on the same port, as after a restart."""
    patient = Backoff(first_wait_s=0.05, max_wait_s=0.2, notice_s=0.0)
    half = asyncio.Event()
    served = 0

    async def chat(request: web.Request) -> web.Response:
        nonlocal served
        await request.read()
        served += 1
        if served == 60:
            half.set()
        return web.json_response(completion())

    async def start(port: int) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        return runner

    runner = await start(0)
    port = runner.addresses[0][1]
    async with open_session(f"http://127.0.0.1:{port}/v1") as session:
        run = asyncio.create_task(
            run_experiment(session, "r", **PLAN, max_concurrency=3, backoff=patient, results=tmp_path)
        )
        await half.wait()
        await runner.cleanup()
        # Longer than ten tries take with these waits.
        await asyncio.sleep(3)
        assert not run.done()
        runner = await start(port)
        episodes = await run
        await runner.cleanup()
    assert list(episodes["status"]) == ["ok"] * 3
    assert served >= 60 + 64


async def test_answers_that_use_up_their_tokens_stop_the_run_with_the_remedy(open_session, tmp_path, capsys):
    def answer(_: Body) -> Body:
        return completion("", finish_reason="length")

    async with model_server(answer) as server, open_session(server.base_url) as session:
        with pytest.raises(NoValidAnswers, match=r"none of the first 50 answers is valid \(cut off: 50\)"):
            await run_experiment(session, "r", **PLAN, max_concurrency=2, results=tmp_path)
        steps = [step for of_one in read_steps(tmp_path / "r").values() for step in of_one]
        assert 50 <= len(steps) <= 52
        assert {step.finish_reason for step in steps} == {"length"}
        told = capsys.readouterr().out
        assert "20 of the first 20 answers of baseline are not valid (cut off: 20)" in told
        assert REMEDIES["cut off"] in told
        episodes = await run_experiment(session, "regardless", **PLAN, stop_after_invalid=0, results=tmp_path)
    assert set(episodes["status"]) == {"ok"}
    assert "answers of baseline were not valid (cut off: " in capsys.readouterr().out


USAGES: list[Any] = [
    {"prompt_tokens": 10},
    {"prompt_tokens": 10, "completion_tokens": None},
    {"prompt_tokens": None, "completion_tokens": 3, "total_tokens": 13},
    {"prompt_tokens": 10, "completion_tokens": 3.5},
    {"prompt_tokens": -1, "completion_tokens": "3"},
    {"prompt_tokens": 10, "completion_tokens": 2**70},
    {"prompt_tokens": True, "completion_tokens": {"text": 3}},
    {},
    ["10", "3"],
    "13",
    None,
]


async def test_usage_of_any_shape_is_no_error_with_a_price(open_session, tmp_path):
    usages = itertools.cycle(USAGES)

    def answer(_: Body) -> Body:
        return completion() | {"usage": next(usages)}

    plan = PLAN | {"seeds": [1]}
    async with model_server(answer) as server, open_session(server.base_url, AGENT_MODEL=PRICED) as session:
        episodes = await run_experiment(session, "r", **plan, results=tmp_path)
    assert list(episodes["status"]) == ["ok"]
    assert list(episodes["episode_length"]) == [64]
    assert pd.isna(episodes[["input_tokens", "output_tokens", "cost_usd"]]).all(axis=None)
    assert UNKNOWN in write_report("r", results=tmp_path, figures=()).page.read_text(encoding="utf-8")


async def test_reasons_of_errors_are_told_by_an_example_of_each_kind(open_session, tmp_path, capsys):
    def answer(body: Body) -> Any:
        if "pick up" in body["messages"][-1]["content"]:
            return refusal(400, "this \x1b[31mmission\x1b[0m is not allowed " + "x" * 1000)
        return completion()

    plan = PLAN | {"tasks": ["goto", "pickup"]}
    async with model_server(answer) as server, open_session(server.base_url) as session:
        await run_experiment(session, "r", **plan, results=tmp_path)
    told = capsys.readouterr().out
    assert "3 episodes ended by an error, not by the agent (bad request: 3)" in told
    (example,) = [line for line in told.splitlines() if line.startswith("  bad request, for example: ")]
    assert "mission" in example
    assert "\x1b" not in told
    assert len(example) < 300
    page = write_report("r", results=tmp_path, figures=()).page.read_text(encoding="utf-8")
    assert "is not allowed" in page
