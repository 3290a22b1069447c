"""How a command ends: interrupted as it starts, with output that nobody reads, with an unexpected error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.journals import expert, idle, play, write_run
from tests.support.processes import environment
from tests.support.project import CONFIG, ROOT

pytestmark = pytest.mark.e2e

INTERRUPTING = """
import importlib.abc, os, signal, sys

class Interrupting(importlib.abc.MetaPathFinder):
    '''Sends the signal when the module of that name is imported.'''
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})
        return None

sys.meta_path.insert(0, Interrupting())
sys.argv = ["babyai_kit", *{words!r}]
import runpy
runpy.run_module("babyai_kit", run_name="__main__", alter_sys=True)
"""

RAISING = """
import logging, sys, threading
from babyai_kit.cli import process
if sys.argv[1] == "importing":
    def main():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error
if sys.argv[1] == "secret":
    def main():
        secret = "sk-" + "canary"
        thread = threading.Thread(target=lambda: [][secret])
        thread.start()
        thread.join()
        logging.getLogger("asyncio").error("key %s", secret)
        raise ValueError("http://user:pw#canary@h:8123 and http://u:local-canary@127.0.0.1 and " + secret)
process.run(main)
"""


def python(code: str, *words: str, cwd: Path = ROOT, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT), **changed),
        capture_output=True,
        text=True,
        timeout=100,
        # A shell that started the tests in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "config").symlink_to(CONFIG)
    episodes = [
        play(policy, seed=seed, variant=v)
        for v, policy in (("baseline", idle), ("history", expert))
        for seed in (0, 1)
    ]
    write_run(folder / "results", episodes)
    return folder


@pytest.mark.parametrize(
    ("number", "module"),
    [
        (signal.SIGINT, "argparse"),
        (signal.SIGTERM, "babyai_kit.cli"),
        (signal.SIGINT, "gymnasium.envs.registration"),
        (signal.SIGTERM, "pandas.core.frame"),
        (signal.SIGINT, "scipy.stats"),
    ],
)
def test_an_interrupt_among_the_imports_ends_with_one_line(project: Path, number: int, module: str):
    code = INTERRUPTING.format(module=module, number=int(number), words=["compare", "r"])
    done = python(code, cwd=project)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("interrupted; ")
    assert done.stderr.count("\n") == 1


def test_an_error_that_an_interrupt_became_is_an_interrupt():
    done = python(RAISING, "importing")
    assert (done.returncode, done.stderr.count("\n")) == (130, 1)
    assert done.stderr.startswith("interrupted; ")


def test_no_traceback_or_log_line_shows_a_secret(tmp_path: Path):
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-canary\n")
    url = "http://user:pw#canary@h:8123"
    done = python(RAISING, "secret", cwd=tmp_path, TENSORZERO_CLICKHOUSE_URL=url)
    assert done.returncode == 1
    assert "ValueError: http://***@h:8123 and http://***@127.0.0.1 and ***" in done.stderr
    assert "key ***" in done.stderr
    assert done.stderr.count("Traceback") == 2
    assert "canary" not in done.stderr.replace('"canary"', "")


def compare(project: Path, output: int, unbuffered: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "babyai_kit", "compare", "r"],
        cwd=project,
        env=environment(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED=unbuffered),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_is_no_error(project: Path, unbuffered: str):
    read, write = os.pipe()
    os.close(read)
    done = compare(project, write, unbuffered)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_output_is_one_line(project: Path, unbuffered: str):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this machine")
    with open("/dev/full", "wb") as full:
        done = compare(project, full.fileno(), unbuffered)
    assert done.returncode == 1
    assert done.stderr == "error: cannot write the output (No space left on device); write it elsewhere\n"
