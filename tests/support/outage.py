"""A ClickHouse that the kit does not start and that goes away for a while; for the tests and the soak."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from babyai_kit.configuration.addresses import CLICKHOUSE_DATABASE, CLICKHOUSE_USER, HOST
from babyai_kit.runs.journal import read_steps
from tests.support.processes import start


class Store:
    """A ClickHouse on a port of its own, started by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        password = (self.folder / "clickhouse.password").read_text().strip()
        return f"http://{CLICKHOUSE_USER}:{password}@{HOST}:{self.port}/{CLICKHOUSE_DATABASE}"

    def start(self) -> None:
        command = ["clickhouse", "--path", str(self.folder), "--port", str(self.port)]
        self._process = start(self.folder, *command, log=self.folder / "log")
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def signal(self, number: int) -> None:
        if self._process:
            self._process.send_signal(number)

    async def away(self, seconds: float) -> None:
        """Kill it now and start it again after `seconds`."""
        self.kill()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.start)


@contextmanager
def store_by_hand(folder: Path) -> Iterator[Store]:
    """A running Store with its data in `folder`."""
    folder.mkdir(exist_ok=True)
    store = Store(folder)
    store.start()
    try:
        yield store
    finally:
        store.kill()


async def until_steps(folder: Path, count: int) -> None:
    """Return once the journal in `folder` has `count` steps."""
    while sum(map(len, read_steps(folder).values())) < count:  # noqa: ASYNC110 (it is a file)
        await asyncio.sleep(0.02)
