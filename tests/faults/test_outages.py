"""ClickHouse is away for a while: plain episodes go on, those of a workflow evaluation wait."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from babyai_kit import run_experiment
from babyai_kit.experiment.reconciliation import reconcile_run
from babyai_kit.local.player import ChatRequest, OfflinePlayer
from babyai_kit.runs.journal import read_episodes, read_steps
from babyai_kit.runs.metrics import metrics
from babyai_kit.runs.run import Run
from babyai_kit.store.completeness import completeness
from babyai_kit.store.queries import stored_feedback, stored_steps
from tests.support.outage import until_steps
from tests.support.processes import same_figures

pytestmark = pytest.mark.e2e

PLAN: dict[str, Any] = {"variants": ["baseline", "history"], "tasks": ["goto", "open"], "seeds": range(2)}
AWAY_S = float(os.environ.get("FAULTS_AWAY_S", "2"))


@pytest.mark.long
@pytest.mark.parametrize("evaluated", [False, True])
async def test_an_outage_is_told_named_and_mended(store, open_session, tmp_path, capsys, evaluated):
    plan = PLAN | {"results": tmp_path, "progress": False, "workflow_evaluation": evaluated}
    slow = False

    async def answers(request: ChatRequest) -> None:
        await asyncio.sleep(0.1 * slow)

    async with (
        OfflinePlayer(answers=answers) as player,
        open_session(player.base_url, TENSORZERO_CLICKHOUSE_URL=store.url) as session,
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
        ids = Run.open(folder.name, results=tmp_path).manifest.run_ids
        stored, feedback = stored_steps(client, ids), stored_feedback(client, ids)
        held = completeness(client, f"r{evaluated}", results=tmp_path)
        client.close()
    assert same_figures(episodes, whole)
    assert "ClickHouse does not answer. The run goes on" in told
    assert "ClickHouse is back after" in told
    assert ("Waiting for ClickHouse" in told) == evaluated

    steps = [s for of_one in read_steps(folder).values() for s in of_one]
    lost = [s for s in steps if s.inference_id not in stored or not stored[s.inference_id].whole]
    named = [(e, i) for of in (found.missing, found.partial) for e, numbers in of.items() for i in numbers]
    assert sorted(named) == sorted((s.episode_id, s.step) for s in lost)
    assert (held.missing, held.partial) == (found.missing, found.partial)
    assert held.complete == {s.episode_id for s in steps} - found.missing.keys() - found.partial.keys()
    if not evaluated:
        assert lost
    reached = {row.episode_id for row in stored.values()}
    for episode in read_episodes(folder).values():
        if episode.episode_id in reached:
            assert feedback[episode.episode_id] == set(metrics(episode))
    assert set(found.unreachable) == set(episodes["episode_id"]) - reached
