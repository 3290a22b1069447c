"""SIGKILL of the run, of the local ClickHouse and of both: the same command goes on, and nothing is lost.

The full counts are the soak's (`make soak`).
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.killing import make_project, player_process, run_killed, run_whole

pytestmark = pytest.mark.e2e

PLAN = ["--variants", "baseline,history,history_and_reasoning", "--tasks", "goto,open", "--seeds", "0:2"]
PLAN += ["--history-length", "3"]


def test_killed_runs_end_as_if_nothing_had_happened(tmp_path: Path, data: Path):
    project = make_project(tmp_path / "project", data)
    with player_process() as player:
        whole = run_whole(project, "whole", PLAN, player.base_url)
    for target, kills in (("runner", 2), ("clickhouse", 1), ("both", 1)):
        found = run_killed(
            project, target, PLAN, whole, target, kills, random.Random(target), window_s=5, latency_s=0.05
        )
        assert found.kills > 0
        assert found.equal
        assert (found.lost, found.double) == (0, 0)
        assert found.extra_calls <= found.allowed_calls
