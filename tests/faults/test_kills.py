"""SIGKILL of the run, of the local ClickHouse and of both: the same command goes on, and nothing is lost.

The full counts are the soak's (`make soak`).
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from babyai_kit import load_episodes
from tests.support.processes import (
    LONGEST_S,
    complete_lines,
    player_process,
    run_killed,
    run_whole,
    same_figures,
    start,
)
from tests.support.project import make_project

pytestmark = pytest.mark.e2e

PLAN = ["--variants", "baseline,dialogue,history_and_reasoning", "--tasks", "goto,open", "--seeds", "0:2"]
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


MODELS = """
[models.slow]
routing = ["own"]
[models.slow.providers.own]
type = "vllm"
model_name = "slow"
api_base = "{slow}"
api_key_location = "none"

[models.limited]
routing = ["own"]
[models.limited.providers.own]
type = "openai"
model_name = "limited"
api_base = "{limited}"
api_key_location = "none"
"""


@pytest.mark.long
def test_a_killed_run_of_three_models_ends_as_if_nothing_had_happened(tmp_path: Path, data_alone: Path):
    """A slow server, one that takes two calls at a time, and the offline player of this process."""
    project = make_project(tmp_path / "project", data_alone)
    plan = ["--variants", "baseline,history", "--tasks", "goto", "--seeds", "0:3", "--history-length", "3"]
    plan += ["--models", "slow,limited,offline-player", "--concurrency", "4"]
    with (
        player_process("--alias", "slow", "--latency-s", "0.1") as slow,
        player_process("--alias", "limited", "--capacity", "2", "--latency-s", "0.02") as limited,
    ):
        (project / "config" / "models.toml").write_text(
            MODELS.format(slow=slow.base_url, limited=limited.base_url)
        )
        assert start(project, "run", "whole", *plan).wait(LONGEST_S) == 0
        whole = load_episodes("whole", results=project / "results")
        steps = project / "results" / "r" / "steps.jsonl"
        for share in (0.1, 0.4, 0.7):
            process = start(project, "run", "r", *plan)
            while len(complete_lines(steps)) < share * whole["episode_length"].sum():
                time.sleep(0.02)
            process.kill()
            process.wait()
        assert start(project, "run", "r", *plan).wait(LONGEST_S) == 0
    assert sorted(set(whole["model"])) == ["limited", "offline-player", "slow"]
    assert len(whole) == 2 * 3 * 3
    assert same_figures(load_episodes("r", results=project / "results"), whole)
    answered = [json.loads(line) for line in complete_lines(steps)]
    assert (
        len(answered)
        == len({(s["episode_id"], s["step"]) for s in answered})
        == whole["episode_length"].sum()
    )
