"""SIGKILL of the run, of the local ClickHouse and of both: the same command goes on, and nothing is lost.

The full counts are the soak's (`make soak`).
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.processes import player_process, run_killed, run_whole
from tests.support.project import make_project

pytestmark = pytest.mark.e2e

PLAN = ["--variants", "baseline,history,history_and_reasoning", "--tasks", "goto,open", "--seeds", "0:2"]
PLAN += ["--history-length", "3"]


def test_killed_runs_end_as_if_nothing_had_happened(tmp_path: Path, data_alone: Path):
    project = make_project(tmp_path / "project", data_alone)
    with player_process() as player:
        whole = run_whole(project, "whole", PLAN, player.base_url)
    targets = ["runner", "clickhouse", "both"]
    found = run_killed(project, "r", PLAN, whole, targets, 3, random.Random(1), window_s=6, latency_s=0.1)
    assert found.kills > 0
    assert found.equal
    assert (found.lost, found.double) == (0, 0)
    assert found.extra_calls <= found.allowed_calls
