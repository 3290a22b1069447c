"""ClickHouse stays away, hangs, or dies in the middle of a run."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from babyai_kit import run_experiment
from babyai_kit.errors import StoreError
from babyai_kit.experiment.reconciliation import reconcile_run
from babyai_kit.local.clickhouse import ensure_server
from babyai_kit.local.player import OfflinePlayer
from tests.support.outage import until_steps
from tests.support.processes import kill_store
from tests.support.project import make_project

pytestmark = pytest.mark.e2e

PLAN: dict[str, Any] = {"variants": ["baseline", "history"], "tasks": ["goto", "open"], "seeds": range(2)}


@pytest.mark.long
async def test_a_store_that_stays_away_is_told_and_reconciled_when_it_is_back(
    store, open_session, tmp_path, capsys
):
    plan = PLAN | {"results": tmp_path, "progress": False}
    try:
        async with (
            OfflinePlayer(latency_s=0.05) as player,
            open_session(player.base_url, 2.0, TENSORZERO_CLICKHOUSE_URL=store.url) as session,
        ):
            run = asyncio.create_task(run_experiment(session, "r", **plan, max_concurrency=6))
            await until_steps(tmp_path / "r", 120)
            store.kill()
            episodes = await run
            told = capsys.readouterr().out
            assert "Waiting up to 4 s for ClickHouse" in told
            assert "Not compared with ClickHouse" in told
            with pytest.raises(StoreError, match="reconcile"):
                await reconcile_run(session, "r", results=tmp_path)
            store.start()
            found = await reconcile_run(session, "r", results=tmp_path)
            again = await reconcile_run(session, "r", results=tmp_path)
    finally:
        store.kill()
        store.start()
    assert set(episodes["status"]) == {"ok"}
    assert found.missing
    assert found.feedback_sent > 0
    assert again.feedback_sent == 0
    assert again.missing == found.missing


async def test_a_store_that_hangs_holds_nothing_up(store, open_session, tmp_path, capsys):
    loop = asyncio.get_running_loop()
    try:
        async with (
            OfflinePlayer(latency_s=0.02) as player,
            open_session(player.base_url, 1.0, TENSORZERO_CLICKHOUSE_URL=store.url) as session,
        ):
            plan = {"variants": ["baseline"], "tasks": ["goto"], "seeds": range(6), "results": tmp_path}
            run = asyncio.create_task(run_experiment(session, "hung", **plan, progress=False))
            await until_steps(tmp_path / "hung", 60)
            store.signal(signal.SIGSTOP)
            episodes = await asyncio.wait_for(run, 200)
            ended = loop.time()
        assert loop.time() - ended < 10
    finally:
        store.signal(signal.SIGCONT)
    told = capsys.readouterr().out
    assert set(episodes["status"]) == {"ok"}
    assert "Not compared with ClickHouse" in told


async def test_a_local_store_that_dies_is_started_again(open_session, data, tmp_path, capsys, monkeypatch):
    project = make_project(tmp_path / "project", data)
    monkeypatch.chdir(project)
    plan = PLAN | {"results": tmp_path, "progress": False}
    async with OfflinePlayer(latency_s=0.1) as player, open_session(player.base_url) as session:
        run = asyncio.create_task(run_experiment(session, "r", **plan, max_concurrency=6))
        await until_steps(tmp_path / "r", 60)
        assert kill_store(project)
        episodes = await run
        told = capsys.readouterr().out
        assert await session.store_answers()
        (await ensure_server(data)).close()
    assert set(episodes["status"]) == {"ok"}
    assert "ClickHouse is back after" in told
    assert "Not compared" not in told
