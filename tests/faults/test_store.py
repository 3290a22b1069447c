"""ClickHouse goes away in the middle of a run: plain episodes go on, those of a workflow evaluation wait."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import connect, run_experiment
from babyai_kit.clickhouse import ensure_server
from babyai_kit.completeness import completeness
from babyai_kit.errors import StoreError
from babyai_kit.feedback import metrics
from babyai_kit.journal import read_episodes, read_run, read_steps
from babyai_kit.manifest import run_ids
from babyai_kit.offline_player import ChatRequest, OfflinePlayer
from babyai_kit.reconcile import reconcile_run
from babyai_kit.stored import stored_feedback, stored_steps
from tests.conftest import CONFIG
from tests.faults.killing import kill_store, make_project, same_figures
from tests.faults.outage import Store, store_by_hand

pytestmark = pytest.mark.e2e

PLAN: dict[str, Any] = {"variants": ["baseline", "history"], "tasks": ["goto", "open"], "seeds": range(2)}
AWAY_S = float(os.environ.get("FAULTS_AWAY_S", "2"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store_by_hand(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch):
    """Set as a user would."""

    def opened(player: OfflinePlayer, **more: str) -> Any:
        monkeypatch.setenv("OPENAI_BASE_URL", player.base_url)
        monkeypatch.setenv("AGENT_MODEL", "offline-player")
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        return connect(env_file=None, config=CONFIG, quiet=True)

    return opened


async def until_steps(folder: Path, count: int) -> None:
    while sum(map(len, read_steps(folder).values())) < count:  # noqa: ASYNC110 (it is a file)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("evaluated", [False, True])
async def test_an_outage_is_told_named_and_mended(store, settings, tmp_path, capsys, evaluated):
    plan = PLAN | {"results": tmp_path, "progress": False, "workflow_evaluation": evaluated}
    slow = False

    async def answers(request: ChatRequest) -> None:
        await asyncio.sleep(0.1 * slow)

    async with (
        OfflinePlayer(answers=answers) as player,
        settings(player, TENSORZERO_CLICKHOUSE_URL=store.url) as session,
    ):
        whole = await run_experiment(session, "whole", **plan)
        slow = True
        run = asyncio.create_task(run_experiment(session, f"r{evaluated}", **plan, max_concurrency=6))
        folder = tmp_path / f"r{evaluated}"
        await until_steps(folder, 60)
        await store.away(AWAY_S)
        answered = sum(map(len, read_steps(folder).values()))
        assert answered < whole["episode_length"].sum()
        episodes = await run
        told = capsys.readouterr().out
        found = await reconcile_run(session, f"r{evaluated}", results=tmp_path)
        client = session.clickhouse()
        ids = run_ids(read_run(folder))
        stored, feedback = stored_steps(client, ids), stored_feedback(client, ids)
        held = completeness(client, f"r{evaluated}", results=tmp_path)
        client.close()
    assert same_figures(episodes, whole)
    assert "ClickHouse does not answer. The run goes on" in told
    assert "ClickHouse is back after" in told
    assert ("Waiting for ClickHouse" in told) == evaluated

    steps = [s for of_one in read_steps(folder).values() for s in of_one]
    lost = [s for s in steps if s.inference_id not in stored or not stored[s.inference_id].whole]
    assert {(e, i) for e, numbers in found.missing.items() for i in numbers} == {
        (s.episode_id, s.step) for s in lost
    }
    assert held.missing == found.missing
    assert held.complete == {s.episode_id for s in steps} - found.missing.keys()
    if not evaluated:
        assert lost
    reached = {row.episode_id for row in stored.values()}
    for episode in read_episodes(folder).values():
        if episode.episode_id in reached:
            assert feedback[episode.episode_id] == set(metrics(episode))
    assert set(found.unreachable) == set(episodes["episode_id"]) - reached


async def test_a_store_that_stays_away_is_told_and_reconciled_when_it_is_back(
    store, settings, tmp_path, capsys
):
    plan = PLAN | {"results": tmp_path, "progress": False}
    try:
        async with (
            OfflinePlayer(latency_s=0.05) as player,
            settings(player, TENSORZERO_CLICKHOUSE_URL=store.url) as session,
        ):
            run = asyncio.create_task(run_experiment(session, "r", **plan, max_concurrency=6))
            await until_steps(tmp_path / "r", 150)
            store.kill()
            episodes = await run
            assert "Not compared with ClickHouse" in capsys.readouterr().out
            with pytest.raises(StoreError, match="reconcile"):
                await reconcile_run(session, "r", results=tmp_path)
            store.start()
            found = await reconcile_run(session, "r", results=tmp_path)
    finally:
        store.kill()
        store.start()
    assert set(episodes["status"]) == {"ok"}
    assert found.missing
    assert found.feedback_sent + len(found.unreachable) == len(episodes)
    assert found.feedback_sent > 0


async def test_a_local_store_that_dies_is_started_again(settings, data, tmp_path, capsys, monkeypatch):
    project = make_project(tmp_path / "project", data)
    monkeypatch.chdir(project)
    plan = PLAN | {"results": tmp_path, "progress": False}
    async with OfflinePlayer(latency_s=0.1) as player, settings(player) as session:
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
