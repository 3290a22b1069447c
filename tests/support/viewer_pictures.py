"""The pictures of the viewer in README and docs/, img/viewer-*.png, of the runs under a folder of results.

`python -m tests.support.viewer_pictures first`, after `make run`; or any other run of two agents or more.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from babyai_kit.configuration.project import PROJECT_RESULTS
from tests.support.browser import CHROMIUM, SWITCHES, expect
from tests.viewer.conftest import served

SIZE = {"width": 1400, "height": 860}


def pictures(run: str, results: Path, folder: Path) -> None:
    """Write them to `folder`."""
    from playwright.sync_api import sync_playwright

    with served(results) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(address)
        page.locator("tr.entry").first.wait_for()
        _shoot(page, folder / "viewer-overview.png")
        page.goto(f"{address}#/run?{urlencode({'run': run})}")
        expect(page.locator(".run-head")).to_contain_text("episodes")
        expect(page.locator(".run-head")).not_to_contain_text("classified", timeout=60_000)
        page.locator(".box").first.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
            page.keyboard.press(key)
        _shoot(page, folder / "viewer-grid.png")
        page.goto(f"{address}#/side?{urlencode(_disagreement(address, run))}")
        page.locator("#main canvas").nth(1).wait_for()
        page.keyboard.press("d")
        _shoot(page, folder / "viewer-side.png")
        browser.close()


def _disagreement(address: str, run: str) -> list[tuple[str, str]]:
    """Two agents on the first seed on which they disagree, as the page of side by side is told."""
    agents = _get(f"{address}api/runs/{run}")["summary"]["agentRows"]
    first, *others = [{"run": run, "agent": row["agent"], "model": row["model"]} for row in agents]
    for other in others:
        sides = {"a": first, "b": other}
        query = {f"{side}.{name}": text for side, of in sides.items() for name, text in of.items()}
        for row in _get(f"{address}api/compare?{urlencode(query)}")["rows"]:
            if {row["a"]["outcome"], row["b"]["outcome"]} == {"success", "failure"}:
                return [("of", f"{run}/{row[side]['id']}") for side in sides]
    raise SystemExit(f"The agents of {run} agree everywhere; name another run")


def _get(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def _shoot(page: Any, path: Path) -> None:
    page.wait_for_load_state("networkidle")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    ends = "[...document.querySelectorAll('main *')].map((one) => one.getBoundingClientRect().bottom)"
    height = min(SIZE["height"], max(page.evaluate(ends)) + 20)
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": SIZE["width"], "height": height})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--results", type=Path, default=Path(PROJECT_RESULTS))
    parser.add_argument("--folder", type=Path, default=Path("img"))
    options = parser.parse_args()
    pictures(options.run, options.results, options.folder)
