"""A viewer of a few real runs, served once for all tests, and pages of a browser to look at it.

The browser is Chromium (Debian: `apt-get install chromium`; or its path in CHROMIUM), driven by playwright;
tests that need it are skipped without.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.viewer.server import running_server
from tests.support.browser import CHROMIUM, chromium, opened_page
from tests.support.journals import SLOW, Reply, expert, idle, play, wander, write_run


@contextmanager
def served(results: Path, **options: Any) -> Iterator[str]:
    """The address of a viewer of `results`, served by a loop of its own until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = running_server(results, **options)
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def write_first(results: Path) -> Path:
    """Run `first`: two agents on two tasks and four seeds; with successes, failures, an error, an unfinished
    episode, and planned ones that did not begin."""
    thought = Reply("go forward", thinking="The key must be behind the door.")
    episodes = [
        *(play(expert, task=task, seed=seed) for task in ("goto", "open") for seed in range(3)),
        play(idle, task="goto", seed=0, variant="reasoning"),
        play(expert, task="goto", seed=1, variant="reasoning"),
        play(wander(), task="goto", seed=2, variant="reasoning"),
        play([thought] * 12 + ["fly"] * 60, task="open", seed=0, variant="reasoning"),
        play(expert, task="open", seed=1, variant="reasoning"),
        play(["turn left"] * 3, task="open", seed=2, variant="reasoning", error=SLOW),
        play([thought, "turn right"], task="goto", seed=3, variant="reasoning", stop_after=2),
    ]
    return write_run(results, episodes, "first")


def write_second(results: Path) -> Path:
    """Run `second`: another agent on the same seeds, and one more repeat."""
    episodes = [
        play(policy, task=task, seed=seed, variant="history", repeat=repeat)
        for task in ("goto", "open")
        for seed, policy in enumerate((expert, idle, expert))
        for repeat in range(2)
    ]
    return write_run(results, episodes, "second")


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `first` and `second`, which no test changes."""
    folder = tmp_path_factory.mktemp("viewer") / "results"
    write_first(folder)
    write_second(folder)
    return folder


@pytest.fixture(scope="session")
def viewer(results: Path) -> Iterator[str]:
    """The address of a viewer of `results`."""
    with served(results) as address:
        yield address


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Closed with the last test of this folder: while it is open, asynchronous tests cannot run."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium found; install it or set CHROMIUM")
    with chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context


@dataclass
class Seen:
    """A page of the browser, and what happened while it was open."""

    page: Any
    trouble: list[str] = field(default_factory=list)
    """Script errors, console errors (broken policies among them) and dialogs."""
    requests: list[str] = field(default_factory=list)
    """Addresses requested."""

    def open(self, address: str) -> Any:
        """Go to `address` and return the page."""
        self.page.goto(address)
        return self.page

    def check(self, base: str) -> None:
        """Nothing went wrong, nothing was asked elsewhere than below `base`, no planted script ran."""
        assert self.trouble == []
        assert [url for url in self.requests if not url.startswith((base, "data:", "blob:"))] == []
        assert self.page.evaluate("typeof window.hacked") == "undefined"


@pytest.fixture
def seen(browser: Any) -> Iterator[Seen]:
    """A new page, closed after the test."""
    with opened_page(browser) as page:
        seen = Seen(page)
        page.on("pageerror", lambda error: seen.trouble.append(str(error)))
        page.on("console", lambda m: seen.trouble.append(m.text) if m.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: (seen.trouble.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: seen.requests.append(request.url))
        yield seen
