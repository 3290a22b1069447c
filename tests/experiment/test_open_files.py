"""Calls in flight need open files: the limit is raised if the system permits it, or said before any call."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment
from tests.support.project import ROOT, make_project

SCRIPT = """
import resource, sys
from babyai_kit.errors import InputError
from babyai_kit.experiment.open_files import ensure_open_files
for calls in map(int, sys.argv[1:]):
    try:
        ensure_open_files(calls, embedded=True)
        print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    except InputError as error:
        print(error)
"""


def limited(soft: int, hard: int, *words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=200,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )


def hard_limit(at_least: int) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < at_least:
        pytest.skip(f"this system allows only {hard} open files")
    return hard


def test_the_limit_is_raised_as_needed_and_never_lowered():
    lines = limited(256, hard_limit(1500), "-c", SCRIPT, "10", "300", "20").stdout.splitlines()
    assert 256 < int(lines[0]) < 500
    assert 1150 < int(lines[1]) < 1400
    assert lines[2] == lines[1]


def test_what_the_system_does_not_permit_is_said_with_what_would_do():
    (line,) = limited(256, 256, "-c", SCRIPT, "200").stdout.splitlines()
    assert "200 calls in flight need " in line
    assert " open files, and 256 are allowed; lower the concurrency to " in line
    fitting = line.split("concurrency to ")[1].split(",")[0]
    assert limited(256, 256, "-c", SCRIPT, fitting).stdout == "256\n"


@pytest.mark.e2e
def test_a_run_with_more_calls_than_files_is_refused_or_works(tmp_path: Path, data: Path):
    project = make_project(tmp_path, data)
    command = ["-m", "babyai_kit", "run", "r", "--variants", "history", "--tasks", "goto", "--seeds", "0:40"]
    refused = limited(100, 100, *command, "--concurrency", "40", cwd=project)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: 40 calls in flight need ")
    assert refused.stderr.count("\n") == 1
    assert not (project / "results/r/run.json").exists()
    done = limited(100, hard_limit(1200), *command, "--concurrency", "40", cwd=project)
    assert done.returncode == 0, done.stderr
