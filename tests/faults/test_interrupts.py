"""Interrupting: Ctrl-C in a terminal, the stop button of a notebook. Nothing is left, a rerun goes on."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from jupyter_client.manager import start_new_async_kernel

from babyai_kit import load_episodes
from babyai_kit.local.clickhouse.data_directory import DataDirectory, read_state
from tests.support.processes import environment, player_process, run_whole, same_figures, start
from tests.support.project import make_project

pytestmark = pytest.mark.e2e

PLAN = ["--variants", "baseline,history", "--tasks", "goto", "--seeds", "0:4"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data_alone: Path) -> pd.DataFrame:
    """The table of the plan, undisturbed."""
    project = make_project(tmp_path_factory.mktemp("whole"), data_alone)
    with player_process() as player:
        return run_whole(project, "whole", PLAN, player.base_url)


def wait_for_steps(file: Path, count: int) -> None:
    give_up = time.monotonic() + 200
    while not (file.exists() and file.read_bytes().count(b"\n") >= count):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def server_is_gone(project: Path) -> bool:
    """True once the local ClickHouse has ended with its last user."""
    give_up = time.monotonic() + 200
    while read_state(DataDirectory(project / "data")) is not None:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.1)
    return True


def test_ctrl_c_and_sigterm_end_with_a_line_and_nothing_stays(tmp_path: Path, data_alone: Path, whole):
    project = make_project(tmp_path / "project", data_alone)
    log = project / "log"
    with player_process("--latency-s", "0.1") as player:
        settings = {"OPENAI_BASE_URL": player.base_url, "AGENT_MODEL": "offline-player"}
        for interrupts, number in ((1, signal.SIGINT), (2, signal.SIGINT), (3, signal.SIGTERM)):
            before = log.read_bytes().count(b"interrupted;") if log.exists() else 0
            process = start(project, "run", "r", *PLAN, "--concurrency", "4", log=log, **settings)
            wait_for_steps(project / "results/r/steps.jsonl", 30 * interrupts)
            for _ in range(1 + (interrupts == 2)):
                os.kill(process.pid, number)
                time.sleep(0.05)
            assert process.wait(120) == 130, log.read_text()
            assert log.read_bytes().count(b"interrupted;") == before + 1
        assert start(project, "run", "r", *PLAN, log=log, **settings).wait(120) == 0
    assert "Traceback" not in log.read_text()
    assert same_figures(load_episodes("r", results=project / "results"), whole)
    assert server_is_gone(project)


CELL = """
from babyai_kit import connect, run_experiment
async with connect(quiet=True) as session:
    plan = {"variants": ["baseline", "history"], "tasks": ["goto"], "seeds": range(4)}
    episodes = await run_experiment(session, "r", **plan, max_concurrency=4)
print(len(episodes), "rows")
"""
LEFT = """
import asyncio
print([repr(t) for t in asyncio.all_tasks() if "run_experiment" in repr(t) or "babyai_kit" in repr(t)])
"""


async def test_an_interrupted_cell_leaves_no_task_and_goes_on_when_run_again(
    tmp_path: Path, data_alone: Path, whole
):
    project = make_project(tmp_path / "project", data_alone)
    with player_process("--latency-s", "0.1") as player:
        settings = {"OPENAI_BASE_URL": player.base_url, "AGENT_MODEL": "offline-player"}
        manager, client = await start_new_async_kernel(cwd=str(project), env=environment(**settings))
        shown: list[str] = []

        async def run(cell: str) -> dict:
            shown.clear()
            reply = await client.execute_interactive(
                cell, output_hook=lambda m: shown.append(m["content"].get("text", "")), timeout=120
            )
            return reply["content"]

        try:
            cell = asyncio.create_task(run(CELL))
            await asyncio.to_thread(wait_for_steps, project / "results/r/steps.jsonl", 30)
            await manager.interrupt_kernel()
            broken = await cell
            assert broken["status"] == "error"
            assert broken["ename"] in ("KeyboardInterrupt", "CancelledError")
            (line,) = broken["traceback"]
            assert re.fullmatch(
                r"Interrupted: \d of 8 episodes of 'r' are done\. Run this again to go on .*", line
            )
            assert (await run(LEFT))["status"] == "ok"
            assert "".join(shown).strip() == "[]"
            assert (await run(CELL))["status"] == "ok"
            assert "8 rows" in "".join(shown)
            assert (await run(CELL))["status"] == "ok"
            assert "8 of 8 done, nothing to run." in "".join(shown)
            assert "paid twice" not in "".join(shown)
        finally:
            client.stop_channels()
            await manager.shutdown_kernel()
    assert same_figures(load_episodes("r", results=project / "results"), whole)
    assert await asyncio.to_thread(server_is_gone, project)
