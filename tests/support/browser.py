"""A browser for tests of pages: Chromium through playwright, and a page that notes what goes wrong in it.

Needs Chromium (Debian: `apt-get install chromium`; or its path in CHROMIUM) and playwright; modules with
`pytestmark = NEEDS_CHROMIUM` are skipped without. A folder's conftest.py imports the fixtures. The browser
lives as long as a module's tests: playwright's loop and those of asynchronous tests do not go together.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None,
    reason="no Chromium found (install it or set CHROMIUM), or playwright is not installed",
)
SWITCHES = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Seen:
    """A page and what happened while it was open."""

    page: Any
    trouble: list[str] = field(default_factory=list)
    """Script errors, console errors (broken policies among them) and dialogs."""
    requests: list[str] = field(default_factory=list)
    """Addresses requested, except the page's own."""

    def open(self, path: Path) -> Any:
        address = path.resolve().as_uri()
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("console", lambda m: self.trouble.append(m.text) if m.type != "log" else None)
        self.page.on("dialog", lambda dialog: (self.trouble.append(dialog.message), dialog.dismiss()))
        self.page.on(
            "request", lambda r: self.requests.append(r.url) if r.url.partition("#")[0] != address else None
        )
        self.page.goto(address)
        return self.page

    def check(self) -> None:
        """Nothing went wrong, nothing was requested, every picture is there, no planted script ran."""
        assert self.trouble == []
        assert [url for url in self.requests if not url.startswith("data:")] == []
        for frame in self.page.frames:
            assert frame.evaluate("typeof window.hacked") == "undefined"
            broken = "Array.from(document.images).filter(i => !i.complete || !i.naturalWidth).length"
            assert frame.evaluate(broken) == 0


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A browser with this folder of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=SWITCHES, chromium_sandbox=False
        )
        yield context
        context.close()


@contextmanager
def opened_page(browser: Any) -> Iterator[Any]:
    """A new page, closed at the end of the block."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    yield page
    page.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def seen(browser: Any) -> Iterator[Seen]:
    with opened_page(browser) as page:
        yield Seen(page)


def expect(locator: Any) -> Any:
    """Playwright's assertions on what `locator` finds, which wait."""
    from playwright import sync_api

    return sync_api.expect(locator)


def pixels(frame: Any, canvas: str) -> np.ndarray:
    """[height, width, 3], as drawn."""
    data = frame.evaluate(f"document.getElementById('{canvas}').toDataURL()")
    picture = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
    return np.asarray(picture.convert("RGB"))
