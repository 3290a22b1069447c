"""A model server that fails: what passes leaves no trace, what will not pass stops the run. Work is kept."""

from __future__ import annotations

import re
from typing import Any

import pytest

from babyai_kit import load_episodes, run_experiment
from babyai_kit.errors import InputError, ModelError
from babyai_kit.experiment.retries import Backoff
from babyai_kit.experiment.screens import LineScreen
from babyai_kit.local.player import ChatRequest, Fault, FaultPlan, OfflinePlayer
from babyai_kit.runs.journal import read_steps
from tests.support.processes import same_figures

pytestmark = pytest.mark.e2e

HURRIED = Backoff(first_wait_s=0.001, max_wait_s=0.02)
"""As many tries as ever, and short waits."""

PLAN: dict[str, Any] = {
    "variants": ["baseline", "history"],
    "tasks": ["goto"],
    "seeds": range(4),
    "backoff": HURRIED,
}
SPOILED = {"malformed": 0.05}
PASSING = {"429": 0.2, "500": 0.1, "reset": 0.05, "stall": 0.05}


async def test_a_plan_of_faults_leaves_the_table_of_its_malformed_answers(open_session, tmp_path):
    async with OfflinePlayer(faults=FaultPlan(SPOILED)) as player, open_session(player.base_url) as session:
        spoiled = await run_experiment(session, "spoiled", **PLAN, results=tmp_path, progress=False)
    async with (
        OfflinePlayer(faults=FaultPlan(SPOILED | PASSING)) as player,
        open_session(player.base_url, AGENT_TIMEOUT_MS="700") as session,
    ):
        faulty = await run_experiment(session, "faulty", **PLAN, results=tmp_path, progress=False)
        assert all(player.stats.faults[kind] > 0 for kind in SPOILED | PASSING)
    assert spoiled["invalid_actions"].sum() > 0
    assert set(faulty["status"]) == {"ok"}
    assert same_figures(faulty, spoiled)


@pytest.mark.parametrize(
    ("fault", "told"), [("401", "refused the key"), ("404", "no call was answered meanwhile")]
)
async def test_what_will_not_pass_stops_the_run_and_keeps_what_is_done(open_session, tmp_path, fault, told):
    answered = 0

    def answers(request: ChatRequest) -> Fault | None:
        nonlocal answered
        answered += 1
        return Fault(fault) if broken and answered > 60 else None

    broken = True
    async with OfflinePlayer(answers=answers) as player, open_session(player.base_url) as session:
        with pytest.raises(ModelError, match=told):
            await run_experiment(session, "r", **PLAN, max_concurrency=4, results=tmp_path, progress=False)
        assert sum(map(len, read_steps(tmp_path / "r").values())) == 59
        assert set(load_episodes("r", results=tmp_path)["status"]) <= {"ok", "error"}
        broken = False
        rest = await run_experiment(session, "r", **PLAN, results=tmp_path, progress=False)
        whole = await run_experiment(session, "whole", **PLAN, results=tmp_path, progress=False)
    assert same_figures(rest, whole)


async def test_calls_in_flight_fall_until_the_server_takes_them_and_the_bar_says_so(
    open_session, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(LineScreen, "every_s", 0.05)
    plan = {
        "variants": ["baseline"],
        "tasks": ["goto"],
        "seeds": range(20),
        "results": tmp_path,
        "backoff": HURRIED,
    }
    async with (
        OfflinePlayer(capacity=4, latency_s=0.01) as player,
        open_session(player.base_url) as session,
    ):
        episodes = await run_experiment(session, "r", **plan, max_concurrency=32)
        refused, answered = player.stats.faults["429"], player.stats.answers
    assert set(episodes["status"]) == {"ok"}
    assert refused < answered
    shown = {int(calls) for calls in re.findall(r"(\d+) of 32 calls at once", capsys.readouterr().out)}
    assert shown
    assert min(shown) <= 6


async def test_a_budget_of_tokens_stops_new_calls_and_a_larger_one_goes_on(open_session, tmp_path, capsys):
    plan = PLAN | {"results": tmp_path, "progress": False}
    async with OfflinePlayer() as player, open_session(player.base_url) as session:
        whole = await run_experiment(session, "whole", **plan)
        tokens = int(whole["input_tokens"].sum() + whole["output_tokens"].sum())
        for limit in (tokens // 3, tokens // 2):
            part = await run_experiment(session, "r", **plan, max_tokens_total=limit, max_concurrency=2)
            steps = [s for of_one in read_steps(tmp_path / "r").values() for s in of_one]
            spent = [s.input_tokens + s.output_tokens for s in steps]
            assert len(part) < len(whole)
            assert limit <= sum(spent) <= limit + 2 * max(spent)
            assert f"the budget of {limit:,} tokens is spent" in capsys.readouterr().out
        rest = await run_experiment(session, "r", **plan, max_tokens_total=2 * tokens)
    assert same_figures(rest, whole)


async def test_a_budget_that_cannot_be_kept_stops_the_run(open_session, tmp_path, capsys):
    async with OfflinePlayer(usage=False) as player, open_session(player.base_url) as session:
        await run_experiment(session, "r", **PLAN, max_tokens_total=1000, max_concurrency=2, results=tmp_path)
        assert "does not report its tokens" in capsys.readouterr().out
        assert player.stats.answers <= 3


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
async def test_a_bad_budget_is_told_before_the_first_call(open_session, tmp_path, limit):
    async with OfflinePlayer() as player, open_session(player.base_url) as session:
        with pytest.raises(InputError, match="max_tokens_total"):
            await run_experiment(session, "r", **PLAN, max_tokens_total=limit, results=tmp_path)
        assert player.stats.requests == 0
