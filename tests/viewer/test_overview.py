"""The overview and the comparison, as a browser shows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.runs.journal import MANIFEST
from tests.support.browser import expect
from tests.support.journals import expert, idle, play, write_run
from tests.viewer.accessibility import check_accessible
from tests.viewer.conftest import Seen, served

COMPARE = (
    "#/compare?a=first&a.agent=baseline&a.model=offline-player"
    "&b=first&b.agent=reasoning&b.model=offline-player"
)


def entry(page: Any, agent: str) -> Any:
    return page.locator("tr.entry", has=page.get_by_role("link", name=agent, exact=True))


def test_runs_with_their_agents(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer)
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    expect(page.locator("tr.run a")).to_have_count(2)
    row = entry(page, "reasoning")
    expect(row.locator(".errors")).to_have_text("1")
    expect(row.locator(".success")).to_contain_text(re.compile(r"50%\s*0 to 100%"))
    assert row.locator("svg .whisker").count() == 1
    first = page.locator("tr.run", has=page.get_by_role("link", name="first", exact=True))
    expect(first).to_contain_text("11 of 16 episodes")
    expect(first).to_contain_text("Offline player: not an LLM")
    assert float(first.locator("progress").get_attribute("value")) == pytest.approx(12 / 16)
    seen.check(viewer)


def test_finding_a_run_is_in_the_address(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer)
    page.get_by_role("searchbox").fill("history")
    expect(page.locator("tr.run")).to_have_count(1)
    expect(page).to_have_url(re.compile("find=history"))
    page.reload()
    expect(page.locator("tr.run")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("history")
    page.get_by_role("searchbox").fill("nothing of the kind")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("tr.run")).to_have_count(2)
    seen.check(viewer)


def test_two_agents_are_chosen_and_compared(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer)
    box = page.get_by_role("checkbox")
    box.and_(page.get_by_label(re.compile("baseline.*first"))).check()
    expect(page.locator(".chosen")).to_contain_text("Choose a second agent")
    box.and_(page.get_by_label(re.compile("history.*second"))).check()
    box.and_(page.get_by_label(re.compile("reasoning.*first"))).check()  # in place of the oldest
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    page.reload()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Compare two agents")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text("reasoning")
    seen.check(viewer)


def test_a_comparison_says_where_they_disagree(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + COMPARE)
    expect(page.locator(".verdict")).to_contain_text("reasoning is worse than baseline by 50.0 points")
    expect(page.get_by_role("img", name=re.compile("B minus A: −50 percentage points"))).to_be_visible()
    cells = page.locator(".cross td:not(:empty)")
    expect(cells).to_have_text(["2", "3", "0", "0"])
    links = page.locator(".disagree a")
    expect(links).to_have_count(3)
    assert re.fullmatch(r"#/side\?of=first%2F[^&]+&of=first%2F[^&]+", links.first.get_attribute("href"))
    page.keyboard.press("s")
    expect(page.locator(".verdict")).to_contain_text("baseline is better than reasoning by 50.0 points")
    expect(page.locator(".cross td:not(:empty)")).to_have_text(["2", "0", "3", "0"])
    expect(page).to_have_url(re.compile("a.agent=reasoning"))
    page.get_by_label("Second agent").select_option(label="reasoning · offline-player")
    expect(page.get_by_text("These are the same agent")).to_be_visible()
    seen.check(viewer)


def test_a_folder_without_runs_says_what_to_type(seen: Seen, tmp_path: Path) -> None:
    with served(tmp_path) as address:
        page = seen.open(address)
        expect(page.get_by_text("python -m babyai_kit run first")).to_be_visible()
        check_accessible(page)
        write_run(tmp_path, [play(expert, seed=1)], "new")
        expect(page.get_by_role("link", name="new", exact=True)).to_be_visible()
        seen.check(address)


def test_many_runs_and_a_damaged_one(seen: Seen, tmp_path: Path) -> None:
    episodes = [play(expert, seed=1), play(idle, seed=1, variant="history")]
    for number in range(20):
        write_run(tmp_path, episodes, f"run-{number:02d}")
    (tmp_path / "run-07" / MANIFEST).write_text("{", encoding="utf-8")
    with served(tmp_path) as address:
        page = seen.open(address + "#/?order=name")
        expect(page.locator("tr.run")).to_have_count(20)
        expect(page.locator(".damaged .badge")).to_have_text("damaged")
        names = page.locator("tr.run a").all_text_contents()
        assert names == sorted(names)
        seen.check(address)


@pytest.mark.parametrize("place", ["#/", COMPARE])
@pytest.mark.parametrize("width", [1280, 400])
def test_accessible_and_no_wider_than_the_screen(seen: Seen, viewer: str, place: str, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 800})
    page = seen.open(viewer + place)
    expect(page.locator(".runs, .cross")).to_be_visible()
    check_accessible(page, place)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_keys_theme_and_skipping_to_the_content(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer)
    expect(page.locator("tr.run")).to_have_count(2)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("find a run")
    check_accessible(page, "keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_label("Theme").select_option(label="as the system")
    assert page.evaluate("document.documentElement.dataset.theme") is None
    page.keyboard.press("/")
    seen.check(viewer)


def test_an_address_that_leads_nowhere(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + "#/elsewhere")
    expect(page.get_by_role("alert")).to_contain_text("no such page")
    page.get_by_role("main").get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    seen.check(viewer)
