"""Whole processes, as a user starts them: command line, script, notebook, and a real SIGKILL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from babyai_kit import load_episodes
from tests.conftest import CONFIG, ROOT, SETTINGS

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path, data: Path) -> Path:
    """A working directory as the top level is for a user: the files of the project, data elsewhere."""
    for name in ("babyai_kit", "babyai.ipynb"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(CONFIG, tmp_path / "config")
    (tmp_path / "data").symlink_to(data)
    return tmp_path


def environment(**changed: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in SETTINGS} | changed


def kit(project: Path, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "babyai_kit", *words],
        cwd=project,
        env=environment(**changed),
        capture_output=True,
        text=True,
        timeout=120,
    )


PLAN = ["--variants", "baseline,history", "--tasks", "goto,open", "--seeds", "0:3"]


def test_the_command_line_runs_a_plan_and_goes_on_with_it(project: Path):
    done = kit(project, "run", "r", *PLAN)
    assert done.returncode == 0, done.stderr
    assert "NO language model" in done.stdout
    assert "0 of 12 episodes are done; the rest takes at most" in done.stdout
    assert len(load_episodes("r", results=project / "results")) == 12
    again = kit(project, "run", "r", *PLAN)
    assert again.returncode == 0
    assert kit(project, "reconcile", "r").returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "r", "--variants", "nope"], "unknown variant 'nope'"),
        (["run", "r", "--tasks", "fly"], "fly"),
        (["run", "r", "--seeds", "5:5"], "seeds is empty"),
        (["run", "r", "--seeds", "x"], "is no seeds"),
        (["run", "../r"], "run name"),
        (["reconcile", "never"], "no run 'never'"),
        (["merge", "never"], "no shards"),
    ],
)
def test_bad_input_exits_with_2_and_one_line(project: Path, words: list[str], told: str):
    done = kit(project, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_another_temperature_under_one_name_is_bad_input(project: Path):
    plan = ["--variants", "baseline", "--tasks", "goto", "--seeds", "1"]
    assert kit(project, "run", "r", *plan).returncode == 0
    other = kit(project, "run", "r", *plan, "--temperature", "0.5")
    assert other.returncode == 2
    assert "temperature=None" in other.stderr


def test_a_model_server_that_is_away_exits_with_1(project: Path):
    done = kit(project, "run", "r", *PLAN, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert "does not answer" in done.stderr


def test_shards_join_into_the_run(project: Path):
    for shard in ("0/2", "1/2"):
        assert kit(project, "run", "r", *PLAN, "--shard", shard).returncode == 0
    assert kit(project, "merge", "r").stdout.startswith("12 episodes added")
    assert kit(project, "merge", "r").stdout.startswith("0 episodes added")
    whole = kit(project, "run", "whole", *PLAN)
    assert whole.returncode == 0
    same_figures(*(load_episodes(run, results=project / "results") for run in ("r", "whole")))
    assert kit(project, "reconcile", "r").returncode == 0


def same_figures(one: pd.DataFrame, other: pd.DataFrame) -> None:
    apart = ["run", "episode_id", "wall_s"]
    pd.testing.assert_frame_equal(one.drop(columns=apart), other.drop(columns=apart))


def wait_for_lines(file: Path, count: int) -> None:
    for _ in range(1000):
        if file.exists() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{file} did not reach {count} lines")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_broken_off_goes_on_in_the_middle_of_episodes(project: Path, sign: signal.Signals):
    plan = ["--variants", "baseline,history", "--tasks", "goto,open", "--seeds", "0:6"]
    whole = kit(project, "run", "whole", *plan)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        [sys.executable, "-m", "babyai_kit", "run", "r", *plan, "--concurrency", "2"],
        cwd=project,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell that started the tests in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    steps = project / "results/r/steps.jsonl"
    wait_for_lines(steps, 40)
    process.send_signal(sign)
    assert process.wait(30) == (-sign if sign == signal.SIGKILL else 130)
    before = [json.loads(line) for line in steps.read_text().splitlines()]
    assert len(before) < sum(load_episodes("whole", results=project / "results")["episode_length"])

    rest = kit(project, "run", "r", *plan)
    assert rest.returncode == 0, rest.stderr
    same_figures(*(load_episodes(run, results=project / "results") for run in ("r", "whole")))
    after = [json.loads(line) for line in steps.read_text().splitlines()]
    assert after[: len(before)] == before
    places = [(s["episode_id"], s["step"]) for s in after]
    assert len(set(places)) == len(places)


SCRIPT = """
import asyncio
from babyai_kit import connect, run_experiment

async def main():
    async with connect() as session:
        return await run_experiment(session, "s", ["baseline"], ["goto"], range(5))

print(len(asyncio.run(main())), "episodes")
"""


def test_a_script_exits_cleanly_with_every_row_stored(project: Path):
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=project,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "5 episodes" in done.stdout
        assert "differs" not in done.stdout
    assert kit(project, "reconcile", "s").returncode == 0


def test_the_notebook_runs_from_top_to_bottom(project: Path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "papermill",
            "babyai.ipynb",
            "results.ipynb",
            "--kernel",
            "python3",
            "--no-progress-bar",
            "-p",
            "RUN",
            "notebook",
            "-y",
            "{SEEDS: [200, 202], TRAIN_SEEDS: [0, 3], TEST_SEEDS: [1000, 1002]}",
        ],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(project / "results.ipynb", as_version=4)
    outputs = [o for cell in executed.cells if cell.cell_type == "code" for o in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 6
    assert len(load_episodes("notebook", results=project / "results")) == 40


def test_the_notebook_is_short_and_committed_without_outputs():
    notebook = nbformat.read(ROOT / "babyai.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for cell in code for line in cell.source.splitlines() if line.strip()]
    assert len(notebook.cells) <= 25
    assert len(lines) <= 120
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert code[0].metadata["tags"] == ["parameters"]
    assert "MAX_COST_USD" in code[0].source
