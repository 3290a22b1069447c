"""A gateway over HTTP in a rough world: restarted, with a key, storing elsewhere, in another time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from babyai_kit import run_experiment
from babyai_kit.cli.gateway_check import gateway as gateway_finding
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import ConfigError, GatewayError, ServiceError
from babyai_kit.experiment.reconciliation import reconcile, reconcile_run
from babyai_kit.experiment.retries import Backoff
from babyai_kit.gateway import episode_ids, storage_check
from babyai_kit.runs.metrics import CARRIER
from babyai_kit.runs.run import Run
from tests.support.outage import until_steps
from tests.support.processes import same_figures
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

PLAN: dict[str, Any] = {"variants": ["baseline", "history"], "tasks": ["goto"], "seeds": [3, 4, 5]}
SMALL: dict[str, Any] = {"variants": ["baseline"], "tasks": ["goto"], "seeds": [3]}
QUICK = Backoff(first_wait_s=0.1, max_wait_s=1.0)
KEY = "sk-t0-canary-1234"
NAMED = {"AGENT_MODEL": "offline-player"}


async def doctor_says():
    settings = load_settings(None)
    return await gateway_finding(settings, load_config(CONFIG, settings))


async def test_no_episode_is_lost_to_a_gateway_that_is_restarted_in_the_middle_of_its_answers(
    remote, tmp_path
):
    plan = PLAN | {"results": tmp_path, "progress": False}
    async with remote(**NAMED) as at, at.connect() as session:
        whole = await run_experiment(session, "whole", **plan)
        at.server.cuts = {"/inference": 1}  # the preflight's
        run = asyncio.create_task(run_experiment(session, "cut", **plan, max_concurrency=4, backoff=QUICK))
        await until_steps(tmp_path / "cut", 15)
        at.server.cuts = {"/inference": 3, "/feedback": 2, "/workflow_evaluation_run": 1}
        await until_steps(tmp_path / "cut", 30)
        await at.server.away(1.5)
        episodes = await run
        found = await reconcile_run(session, "cut", results=tmp_path)
        client = session.clickhouse()
        feedback = client.query(
            "SELECT toString(target_id) FROM BooleanMetricFeedback "
            "WHERE tags['run'] = 'cut' AND metric_name = {metric:String}",
            parameters={"metric": CARRIER},
        ).result_rows
        client.close()
    assert set(episodes["status"]) == {"ok"}
    assert same_figures(episodes, whole)
    assert not found.unreachable
    # Sent again where the answer was lost, and only then.
    assert {row[0] for row in feedback} == set(episodes["episode_id"])


async def test_feedback_that_a_gateway_missed_waits_for_it_and_is_stored_once(remote, tmp_path):
    async with remote(**NAMED) as at, at.connect() as session:
        at.server.cuts = {"/feedback": 3}
        episodes = await run_experiment(session, "f", **SMALL, results=tmp_path, progress=False)
        away = asyncio.create_task(at.server.away(2.0))
        while await session.gateway_answers():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        found = await reconcile_run(session, "f", results=tmp_path)
        await away
        client = session.clickhouse()
        rows = client.query(
            "SELECT metric_name FROM BooleanMetricFeedback WHERE tags['run'] = 'f' UNION ALL "
            "SELECT metric_name FROM FloatMetricFeedback WHERE tags['run'] = 'f'"
        ).result_rows
        client.close()
    assert len(episodes) == 1
    assert found.clean
    # A cut answer was stored nonetheless, and the run's own reconciliation saw it.
    assert set(Counter(row[0] for row in rows).values()) == {1}


async def test_the_gateways_own_key_comes_from_env_file_or_environment_and_is_shown_nowhere(
    remote, tmp_path, monkeypatch, capsys
):
    env_file = tmp_path / ".env"
    env_file.write_text(f"TENSORZERO_API_KEY={KEY}\n")
    async with remote() as at:
        at.server.api_key = KEY
        async with at.connect(env_file) as session:
            episodes = await run_experiment(session, "k", **SMALL, results=tmp_path, progress=False)
            assert KEY not in repr(session) + repr(session.settings)
        assert set(episodes["status"]) == {"ok"}
        asked = len(at.server.sent("/inference"))
        with pytest.raises(GatewayError, match=r"refused the key \(401\), .*TENSORZERO_API_KEY") as caught:
            async with at.connect():
                pass
        assert caught.value.fatal
        assert "AGENT_MODEL" not in str(caught.value)
        wrong = await doctor_says()
        monkeypatch.setenv("TENSORZERO_API_KEY", KEY)
        right = await doctor_says()
        monkeypatch.setenv("TENSORZERO_API_KEY", "sk-t0-wrong")
        monkeypatch.setenv("AGENT_MODEL", "offline-player")
        async with at.connect() as session:
            with pytest.raises(GatewayError, match="TENSORZERO_API_KEY"):
                await run_experiment(session, "w", **SMALL, results=tmp_path, progress=False)
        assert len(at.server.sent("/inference")) == asked
    assert (wrong.grade, right.grade) == ("TROUBLE", "ok")
    assert "TENSORZERO_API_KEY" in wrong.text
    kept = "".join(p.read_text() for p in (tmp_path / "k").rglob("*.json*"))
    assert KEY not in capsys.readouterr().out + kept + wrong.text + right.text


@pytest.mark.parametrize("named", [True, False])
async def test_a_gateway_that_stores_elsewhere_is_told_before_anything_is_paid(
    remote, tmp_path, named, monkeypatch
):
    monkeypatch.setattr(storage_check, "PATIENCE_S", 0.5)
    async with remote(**(NAMED if named else {})) as at:
        at.server.elsewhere = True
        with pytest.raises(ConfigError, match=r"does not appear in .*TENSORZERO_POSTGRES_URL") as caught:
            async with at.connect() as session:
                await run_experiment(session, "e", **SMALL, results=tmp_path, progress=False)
        finding = await doctor_says()
        assert not at.server.sent("/inference")
        assert at.player.stats.requests == 0
    assert at.store.url.split(":")[2].split("@")[0] not in str(caught.value)
    assert finding.grade == "TROUBLE"
    assert "does not appear in" in finding.text


async def test_all_checks_of_a_store_are_one_line_of_the_ui(remote, tmp_path):
    async with remote() as at, at.connect() as session:
        await run_experiment(session, "once", **SMALL, results=tmp_path, progress=False)
        assert (await doctor_says()).grade == "ok"
        client = session.clickhouse()
        runs = client.query(
            "SELECT count() FROM DynamicEvaluationRun WHERE project_name = {project:String}",
            parameters={"project": storage_check.PROJECT},
        ).result_rows
        client.close()
    assert runs == [(1,)]


async def test_a_clock_that_is_ahead_or_was_set_back_costs_no_episode(remote, tmp_path, monkeypatch):
    # Ids made by a clock two hours ahead, for a gateway whose clock is right.
    ahead = time.time
    async with remote(**NAMED) as at, at.connect() as session:
        monkeypatch.setattr(episode_ids.time, "time", lambda: ahead() + 7200)
        plan = SMALL | {"workflow_evaluation": False, "results": tmp_path, "progress": False}
        episodes = await run_experiment(session, "ahead", **plan)
        monkeypatch.setattr(episode_ids.time, "time", lambda: ahead() + 2 * 86400)
        with pytest.raises(ServiceError, match=r"this machine's clock says .*set both clocks") as caught:
            await run_experiment(session, "far", **plan)
    assert set(episodes["status"]) == {"ok"}
    assert "AGENT_MODEL" not in str(caught.value)


async def test_clocks_far_apart_are_named_before_anything_is_asked(remote):
    async with remote() as at:
        at.server.time_s = time.time() - 3 * 86400
        with pytest.raises(GatewayError, match=r"clock says \S+ \S+ UTC and the gateway's says \S+ \S+ UTC"):
            async with at.connect():
                pass
        assert not at.server.sent("/inference")
        at.server.time_s = time.time() - 60
        async with at.connect(quiet=True):
            pass


async def test_steps_without_a_model_call_or_without_tokens_are_told_as_what_they_are(remote, tmp_path):
    async with remote(**NAMED) as at, at.connect() as session:
        await run_experiment(session, "p", **SMALL, results=tmp_path, progress=False)
        run = Run.open("p", results=tmp_path)
        (steps,) = run.step_records().values()
        client = session.clickhouse()
        client.command(
            "ALTER TABLE ModelInference DELETE WHERE inference_id = {id:UUID} SETTINGS mutations_sync = 1",
            parameters={"id": steps[1].inference_id},
        )
        # As the gateway stores an answer whose whole prompt was cached: null, where the journal has 0.
        client.command(
            "ALTER TABLE ModelInference UPDATE input_tokens = NULL WHERE inference_id = {id:UUID} "
            "SETTINGS mutations_sync = 1",
            parameters={"id": steps[0].inference_id},
        )
        client.close()
        episodes, ids = list(run.episode_records().values()), run.manifest.run_ids
        journal = [replace(steps[0], input_tokens=0), *steps[1:]]
        found = await reconcile(session, ids, journal, episodes, patience_s=0)
        other = await reconcile(session, ids, steps, episodes, patience_s=0)
    assert found.partial == {steps[1].episode_id: [1]}
    assert (found.missing, found.mismatched, found.clean) == ({}, [], False)
    assert found.as_json()["partial"] == found.partial
    assert "1 stored in part, without their model call" in str(found)
    assert "token counts" not in str(found)
    assert other.mismatched == [steps[0].inference_id]
