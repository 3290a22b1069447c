"""Leaving while ClickHouse stalls: what was answered is still stored, or the user is told."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import clickhouse_connect
import pytest

from tests.support.outage import Store
from tests.support.processes import player_process, start
from tests.support.project import make_project

pytestmark = pytest.mark.e2e

PLAN = ["--variants", "baseline,history", "--tasks", "goto", "--seeds", "0:40", "--concurrency", "8"]


def wait_until(log: Path, is_there) -> None:
    give_up = time.monotonic() + 200
    while not is_there():
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_store_stalls_loses_no_answered_step(
    tmp_path: Path, data_alone: Path, store: Store, number: int
):
    project = make_project(tmp_path / "project", data_alone)
    steps, log = project / "results/r/steps.jsonl", project / "log"
    with player_process("--latency-s", "0.05") as player:
        settings = {"OPENAI_BASE_URL": player.base_url, "AGENT_MODEL": "offline-player"}
        settings["TENSORZERO_CLICKHOUSE_URL"] = store.url
        process = start(project, "run", "r", *PLAN, log=log, **settings)
        try:
            wait_until(log, lambda: steps.exists() and steps.read_bytes().count(b"\n") > 50)
            store.signal(signal.SIGSTOP)
            stalled = steps.read_bytes().count(b"\n")
            wait_until(log, lambda: steps.read_bytes().count(b"\n") > stalled + 10)
            os.kill(process.pid, number)
            wait_until(log, lambda: b"for ClickHouse to take the last rows" in log.read_bytes())
            assert process.poll() is None
        finally:
            store.signal(signal.SIGCONT)
        assert process.wait(60) == 130, log.read_text()
    answered = {json.loads(line)["inference_id"] for line in steps.read_text().splitlines()}
    client = clickhouse_connect.get_client(dsn=store.url, autogenerate_session_id=False)
    stored = {row[0] for row in client.query("SELECT toString(id) FROM JsonInference").result_rows}
    client.close()
    assert len(answered) > 60
    assert answered <= stored
    assert "interrupted;" in log.read_text()
