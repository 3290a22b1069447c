"""A gateway over HTTP: the requests it gets, workflow evaluations, and what does not fit, told in time."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pandas as pd
import pytest

from babyai_kit import connect, load_episodes, run_experiment
from babyai_kit.errors import ConfigError, GatewayError, InputError
from babyai_kit.experiment.reconciliation import reconcile_run
from babyai_kit.runs.journal import read_registrations, read_steps
from babyai_kit.runs.run import Run
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

PLAN: dict[str, Any] = {"variants": ["baseline", "dialogue"], "tasks": ["goto", "open"], "seeds": [3, 4]}
DOCUMENTED = {
    *("function_name", "variant_name", "episode_id", "input", "params", "tags"),
    *("dryrun", "stream", "cache_options", "include_raw_response", "include_raw_usage"),
    *("extra_body", "output_schema"),
}


def same_figures(one: pd.DataFrame, other: pd.DataFrame) -> None:
    apart = ["run", "episode_id", "wall_s"]
    pd.testing.assert_frame_equal(one.drop(columns=apart), other.drop(columns=apart))


async def test_a_run_over_http_equals_an_embedded_one_and_the_ui_can_compare_it(
    remote, data, tmp_path, monkeypatch, capsys
):
    async with remote() as at, at.connect() as session:
        told = capsys.readouterr().out
        over_http = await run_experiment(session, "http", **PLAN, results=tmp_path, progress=False)
        last_line = capsys.readouterr().out.splitlines()[-1]
        found = await reconcile_run(session, "http", results=tmp_path)
        client = session.clickhouse()
        stored = client.query_df(
            """
            SELECT toString(uint_to_uuid(episode_id_uint)) AS id, datapoint_name AS task,
                   variant_pins['act'] AS pin
            FROM DynamicEvaluationRunEpisode WHERE tags['run'] = 'http'
            """
        )
        pinned = client.query_df(
            "SELECT DISTINCT toString(episode_id) AS episode_id, variant_name FROM JsonInference "
            "WHERE tags['run'] = 'http'"
        )
        client = session.clickhouse()
        from_store = load_episodes("http", results=tmp_path, source="clickhouse", client=client)
        client.close()
        pd.testing.assert_frame_equal(from_store, over_http)
        plan = PLAN | {"seeds": [3]}
        plain = await run_experiment(
            session, "plain", **plan, workflow_evaluation=False, results=tmp_path, progress=False
        )
    for name in ("TENSORZERO_GATEWAY_URL", "TENSORZERO_CLICKHOUSE_URL"):
        monkeypatch.delenv(name)
    async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
        embedded = await run_experiment(session, "embedded", **PLAN, results=tmp_path, progress=False)

    # The gateway's model was asked for its name, since AGENT_MODEL is not set.
    assert "offline player, which is NO language model" in told
    assert set(over_http["model"]) == {"offline-player"}
    same_figures(over_http, embedded)
    assert found.clean
    assert not read_registrations(tmp_path / "plain")
    assert len(plain) == 4

    registered = read_registrations(tmp_path / "http")
    assert set(registered.values()) == set(over_http["episode_id"])
    assert set(stored["id"]) == set(over_http["episode_id"])
    tasks = [f"seed {seed}, {task}" for task in ("goto", "open") for seed in (3, 4)]
    for variant, registered_ones in stored.groupby("pin"):
        assert variant in PLAN["variants"]
        assert sorted(registered_ones["task"]) == sorted(tasks)
    by_episode = over_http.set_index("episode_id")["variant"].to_dict()
    assert dict(zip(pinned["episode_id"], pinned["variant_name"], strict=True)) == by_episode
    ids = Run.open("http", results=tmp_path).manifest.workflow_runs
    of = {place.partition(":")[0]: run_id for place, run_id in ids.items()}
    assert last_line == (
        "Compare the variants in TensorZero's UI: http://127.0.0.1:4000/workflow-evaluations/projects/babyai"
        f"?run_ids={of['baseline']},{of['dialogue']}"
    )


async def test_the_requests_are_the_documented_ones(remote, tmp_path):
    async with remote() as at, at.connect() as session:
        plan = PLAN | {"variants": ["history"], "tasks": ["goto"], "seeds": [3]}
        episodes = await run_experiment(
            session, "r", **plan, temperature=0.5, max_tokens=77, results=tmp_path, progress=False
        )
    (run,) = at.server.sent("/workflow_evaluation_run")
    assert run["variants"] == {"act": "history"}
    assert (run["project_name"], run["display_name"]) == ("babyai", "r: history")
    run_id = next(iter(Run.open("r", results=tmp_path).manifest.workflow_runs.values()))
    (episode,) = at.server.sent(f"/workflow_evaluation_run/{run_id}/episode")
    assert episode["task_name"] == "seed 3, goto"

    steps = [b for b in at.server.sent("/inference") if not b.get("dryrun")]
    assert len(steps) == episodes["episode_length"].sum()
    for number, step in enumerate(steps):
        assert {k for k, v in step.items() if v not in (None, False, {}, [])} <= DOCUMENTED
        assert step["cache_options"]["enabled"] in ("off", "write_only")
        assert step["function_name"] == "act"
        assert step.get("variant_name") is None
        assert step["episode_id"] == episodes["episode_id"][0]
        asked = {k: v for k, v in step["params"]["chat_completion"].items() if v is not None}
        assert asked["temperature"] == 0.5
        assert asked["max_tokens"] == 77
        assert step["tags"]["step"] == str(number)
        (message,) = step["input"]["messages"]
        assert message["content"][0]["arguments"]["history"] == [] or number > 0
    metrics = {b["metric_name"]: b["value"] for b in at.server.sent("/feedback")}
    assert metrics["success"] is bool(episodes["success"][0])
    assert set(metrics) == {"success", "episode_return", "progression", "episode_length", "invalid_actions"}


async def test_a_run_broken_off_uses_its_registrations_again(remote, tmp_path):
    async with remote() as at, at.connect() as session:
        plan = PLAN | {"results": tmp_path, "progress": False}
        run = asyncio.create_task(run_experiment(session, "r", **plan, max_concurrency=1))
        while sum(map(len, read_steps(tmp_path / "r").values())) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        before = read_registrations(tmp_path / "r")
        episodes = await run_experiment(session, "r", **plan)
        after = read_registrations(tmp_path / "r")
        whole = await run_experiment(session, "whole", **plan)
    assert before
    assert before.items() <= after.items()
    assert set(after.values()) == set(episodes["episode_id"])
    assert len(at.server.sent("/workflow_evaluation_run")) == 4
    same_figures(episodes, whole)


async def test_a_run_that_goes_on_keeps_the_names_of_its_tasks(remote, tmp_path):
    """Those of earlier versions, too: the UI compares what has one name."""
    plan: dict[str, Any] = {"tasks": ["goto"], "results": tmp_path, "progress": False}
    async with remote() as at, at.connect() as session:
        await run_experiment(session, "r", **plan, variants=["history"], seeds=[3])
        file = tmp_path / "r/run.json"
        manifest = json.loads(file.read_text())
        assert manifest.pop("seed_first") is True
        file.write_text(json.dumps(manifest))  # as an earlier version wrote it
        await run_experiment(session, "r", **plan, variants=["baseline", "history"], seeds=[3, 4])
        await run_experiment(session, "r", **plan, variants=["baseline"], seeds=[5])
    names = [body.get("task_name", "") for _, path, body in at.server.requests if path.endswith("/episode")]
    names = [name for name in names if "seed" in name]
    assert names[:1] == ["seed 3, goto"]
    assert sorted(names[1:]) == ["goto, seed 3", "goto, seed 4", "goto, seed 4", "goto, seed 5"]


async def test_other_settings_under_one_name_are_compared_apart(remote, tmp_path, capsys):
    """A mean of the UI must not mix history lengths or numbers of distractors."""
    plan: dict[str, Any] = {"variants": ["history"], "tasks": ["goto"], "seeds": [3], "results": tmp_path}
    names = []
    async with remote() as at, at.connect() as session:
        for settings in ({}, {"history_length": 2}, {"num_dists": 1}, {"history_length": 2}, {}):
            await run_experiment(session, "r", **plan, **settings, progress=False)
            chosen = re.findall(r"run_ids=(\S+)", capsys.readouterr().out)
            ids = {v: k for k, v in Run.open("r", results=tmp_path).manifest.workflow_runs.items()}
            names.append([ids[run_id].split(":")[-1] for run_id in chosen])
    assert names == [["offline-player"], ["history 2"], ["distractors 1"], ["history 2"], ["offline-player"]]
    runs = [body for body in at.server.sent("/workflow_evaluation_run") if body["project_name"] == "babyai"]
    shown = [run["display_name"] for run in runs]
    assert shown == ["r: history", "r: history, history 2", "r: history, distractors 1"]


async def test_the_links_lead_to_the_ui_of_the_settings(remote, tmp_path, capsys):
    plan: dict[str, Any] = {"variants": ["history"], "tasks": ["goto"], "seeds": [3], "results": tmp_path}
    async with (
        remote(TENSORZERO_UI_URL="http://me:secret@ui.example/t0/") as at,
        at.connect() as session,
    ):
        for _ in range(2):  # a run that was finished before, too
            await run_experiment(session, "r", **plan, progress=False)
            (run_id,) = Run.open("r", results=tmp_path).manifest.workflow_runs.values()
            told = capsys.readouterr().out
            page = f"http://ui.example/t0/workflow-evaluations/projects/babyai?run_ids={run_id}\n"
            assert told.endswith(f": {page}")
            assert "secret" not in told
        await run_experiment(session, "s", **plan, workflow_evaluation=False, progress=False)
        assert "workflow-evaluations" not in capsys.readouterr().out


async def test_a_variant_that_the_gateway_does_not_know_is_told_before_the_plan(remote, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    toml = (CONFIG / "tensorzero.toml").read_text()
    start = toml.index("[functions.act.variants.history]")
    end = toml.index("[functions.act.variants.history_and_reasoning]")
    toml = toml[:start] + toml[end:]
    (served / "tensorzero.toml").write_text(toml.replace('"reasoning", "history", ', '"reasoning", '))
    (served / "functions").symlink_to(CONFIG / "functions")
    (served / "prices.json").symlink_to(CONFIG / "prices.json")
    async with remote(config=served) as at, at.connect() as session:
        with pytest.raises(InputError, match=r"has no variant 'history'.*restart it"):
            await run_experiment(
                session, "r", **PLAN | {"variants": ["history"]}, results=tmp_path, progress=False
            )
    assert not (tmp_path / "r/steps.jsonl").read_text()
    assert all(body["dryrun"] for body in at.server.sent("/inference"))


async def test_another_version_is_told(remote, capsys):
    async with remote(version="2025.1.0") as at, at.connect():
        assert "the gateway is version 2025.1.0 and the client 2026.6.0" in capsys.readouterr().out


async def test_a_model_by_another_name_is_told_and_a_price_is_the_named_ones(remote, tmp_path, capsys):
    async with remote(AGENT_MODEL="gpt-4o-mini") as at, at.connect() as session:
        plan = {"variants": ["baseline"], "tasks": ["goto"], "seeds": [1], "results": tmp_path}
        episodes = await run_experiment(session, "r", **plan, progress=False)
    assert "calls itself offline-player, and AGENT_MODEL says gpt-4o-mini" in capsys.readouterr().out
    # The served model has no price, so that the kit's own list gives it.
    tokens = episodes[["input_tokens", "output_tokens"]].to_numpy()[0]
    assert episodes["cost_usd"][0] == pytest.approx((tokens[0] * 0.15 + tokens[1] * 0.6) / 1e6)


async def test_a_gateway_that_is_away_or_has_no_store_is_told(monkeypatch, data):
    monkeypatch.setenv("TENSORZERO_GATEWAY_URL", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="TENSORZERO_CLICKHOUSE_URL is not"):
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True):
            pass
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "pw")
    with pytest.raises(GatewayError, match=r"no gateway answers at http://127\.0\.0\.1:9"):
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True):
            pass
