"""Whole processes, as a user starts them: the command line and a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from babyai_kit import load_episodes
from babyai_kit.__main__ import main
from tests.support.processes import environment, same_figures
from tests.support.project import make_project

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A working directory as the top level is for a user: the files of the project, data elsewhere."""
    return make_project(tmp_path_factory.mktemp("project"), data)


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


@pytest.fixture(scope="module")
def first(project: Path) -> subprocess.CompletedProcess[str]:
    """The run `whole` of PLAN, as a process that has ended."""
    return kit(project, "run", "whole", *PLAN)


def test_the_command_line_runs_a_plan_and_goes_on_with_it(project: Path, first):
    assert first.returncode == 0, first.stderr
    assert "NO language model" in first.stdout
    assert "0 of 12 episodes are done; the rest takes:" in first.stdout
    assert len(load_episodes("whole", results=project / "results")) == 12
    again = kit(project, "run", "whole", *PLAN)
    assert again.returncode == 0
    assert "the rest takes" not in again.stdout
    assert kit(project, "reconcile", "whole").returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "r", "--variants", "nope"], "unknown variant 'nope'"),
        (["run", "r", "--tasks", "fly"], "fly"),
        (["run", "r", "--seeds", "5:5"], "seeds is empty"),
        (["run", "r", "--seeds", "x"], "is not a valid seed range"),
        (["run", "../r"], "run name"),
        (["reconcile", "never"], "no run 'never'"),
        (["merge", "never"], "no shards"),
    ],
)
def test_bad_input_exits_with_2_and_one_line(project: Path, words: list[str], told: str, monkeypatch, capsys):
    monkeypatch.chdir(project)
    try:
        code: object = main(words)
    except SystemExit as stop:  # argparse's way
        code = stop.code
    assert code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_another_temperature_under_one_name_is_bad_input(project: Path, first):
    other = kit(project, "run", "whole", *PLAN, "--temperature", "0.5")
    assert other.returncode == 2
    assert "temperature=None" in other.stderr


def test_a_model_server_that_is_away_exits_with_1(project: Path):
    done = kit(project, "run", "r", *PLAN, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert "nothing was run: gpt-6-luna: the model server cannot be reached; check that it" in done.stderr
    assert "127.0.0.1:9" in done.stderr


def test_shards_join_into_the_run(project: Path, first):
    for shard in ("0/2", "1/2"):
        assert kit(project, "run", "sharded", *PLAN, "--shard", shard).returncode == 0
    assert kit(project, "merge", "sharded").stdout.startswith("12 episodes added")
    assert kit(project, "merge", "sharded").stdout.startswith("0 episodes added")
    assert same_figures(*(load_episodes(run, results=project / "results") for run in ("sharded", "whole")))
    assert kit(project, "reconcile", "sharded").returncode == 0


SCRIPT = """
import asyncio
from babyai_kit import connect, run_experiment

async def main():
    async with connect() as session:
        return await run_experiment(session, "s", ["baseline"], ["goto"], range(5))

print(len(asyncio.run(main())), "episodes")
"""


def test_a_script_exits_cleanly_with_every_row_stored(project: Path):
    for _ in range(2):
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
