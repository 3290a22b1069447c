"""Report, replay and failures of a run through the real gateway and the real ClickHouse engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babyai_kit import connect, load_episodes, load_failures, load_replay, run_experiment, write_report
from babyai_kit.experiment.reconciliation import reconcile_run
from tests.report.test_report import words_of
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e


async def test_a_run_is_reported_as_it_was(data: Path, tmp_path: Path) -> None:
    async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
        plan = {"variants": ["baseline", "reasoning"], "tasks": ["goto", "pickup"], "seeds": range(200, 204)}
        episodes = await run_experiment(session, "r", **plan, results=tmp_path, progress=False)
        report = write_report("r", results=tmp_path, config=CONFIG, figures=("success_rate",))
        words = words_of(tmp_path / "r")
        kept = json.loads((tmp_path / "r/reconciliation.json").read_text())
        reconciliation = await reconcile_run(session, "r", results=tmp_path)
    assert report.standing.complete
    assert kept["clean"]
    assert kept["steps"] == reconciliation.steps == episodes["episode_length"].sum()
    assert f"{reconciliation.steps} steps in the journal, 0 of them missing in ClickHouse; 0 orphans" in words
    assert "compare again" not in words
    failures = load_failures("r", results=tmp_path)
    lost = load_episodes("r", results=tmp_path).query("not success")
    assert set(failures["episode_id"]) == set(lost["episode_id"])
    assert len(lost) > 0
    assert load_replay("r", results=tmp_path, success=False).trajectory.episode_id in set(lost["episode_id"])
    summary = json.loads(report.summary.read_text())
    rates = episodes.groupby("variant")["success"].mean()
    for variant, rate in rates.items():
        assert summary["agents"][variant]["Final score"] == pytest.approx(100 * float(rate))
