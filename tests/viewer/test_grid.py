"""The page of a run, as a browser shows it: grid, table, filters and figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.viewer.export import export
from tests.replay.test_replay import HOSTILE
from tests.support.browser import expect
from tests.support.journals import Reply, expert, play, rename_model, write_run
from tests.viewer.accessibility import check_accessible
from tests.viewer.conftest import Seen, served, write_first

RUN = "#/run?run=first"


def counted(page: Any, text: str) -> None:
    """Waits until the page says how many episodes it shows."""
    expect(page.locator(".tools [role=status]")).to_have_text(text)


def live_cell(page: Any) -> Any:
    """The cell that a screen reader finds in the grid with the focus."""
    return page.locator(".box:focus [role=gridcell]")


def rows(page: Any) -> list[str]:
    return page.locator(".episodes tbody tr:not(.space)").all_inner_texts()


def colour_at(page: Any, block: int, row: int, column: int) -> list[int]:
    """[red, green, blue] of a corner of a cell."""
    script = """([block, row, column]) => {
      const canvas = document.querySelectorAll(".plot canvas")[block];
      const ratio = canvas.width / canvas.clientWidth;
      const at = [2 + column * 20 + 2, 18 + row * 20 + 2].map((n) => Math.round(n * ratio));
      const copy = new OffscreenCanvas(canvas.width, canvas.height)
        .getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return [...copy.getImageData(...at, 1, 1).data].slice(0, 3);
    }"""
    return page.evaluate(script, [block, row, column])


def test_a_cell_for_every_episode(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + RUN)
    counted(page, "16 episodes")
    expect(page.get_by_role("grid")).to_have_count(2)
    expect(page.get_by_role("grid").first).to_have_attribute("aria-colcount", "4")
    success, planned = colour_at(page, 0, 0, 0), colour_at(page, 0, 0, 3)
    assert success[1] > success[0], "green"
    assert planned != success
    assert colour_at(page, 1, 1, 2) not in (success, planned), "an error"
    page.locator(".plot canvas").first.hover(position={"x": 10, "y": 28})
    expect(page.locator(".tip")).to_contain_text(re.compile("goto, seed 0.*success", re.S))
    page.locator(".plot canvas").first.click(position={"x": 10, "y": 28})
    expect(page).to_have_url(re.compile(r"#/episode\?run=first&id="))
    page.go_back()
    counted(page, "16 episodes")
    seen.check(viewer)


def test_the_grid_by_keyboard(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + RUN)
    counted(page, "16 episodes")
    page.keyboard.press("f")
    expect(live_cell(page)).to_contain_text("task goto, seed 0; outcome success")
    page.keyboard.press("ArrowRight")
    expect(live_cell(page)).to_contain_text("goto, seed 1")
    page.keyboard.press("ArrowDown")
    expect(live_cell(page)).to_contain_text("open, seed 1")
    page.keyboard.press("End")
    expect(live_cell(page)).to_contain_text("outcome planned")
    page.keyboard.press("ArrowDown")  # into the next agent's block
    expect(live_cell(page)).to_contain_text("goto, seed 3; outcome unfinished")
    box = page.locator(".box:focus")
    assert box.get_attribute("aria-activedescendant") == live_cell(page).get_attribute("id")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#/episode\?run=first&id="))
    seen.check(viewer)


def test_filters_are_in_the_address(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + RUN)
    counted(page, "16 episodes")
    expect(page.get_by_role("checkbox", name=re.compile("success 8"))).to_be_visible()
    page.get_by_role("checkbox", name=re.compile("^success")).check()
    counted(page, "8 of 16 episodes")
    page.get_by_role("checkbox", name=re.compile("^reasoning")).check()
    counted(page, "2 of 16 episodes")
    expect(page.get_by_role("checkbox", name=re.compile("baseline 6"))).to_be_visible()
    page.reload()
    counted(page, "2 of 16 episodes")
    expect(page.get_by_role("checkbox", name=re.compile("^reasoning"))).to_be_checked()
    page.get_by_role("button", name="Drop the filter outcome success").click()
    counted(page, "8 of 16 episodes")
    page.keyboard.press("x")
    counted(page, "16 episodes")
    for label, text, left in (
        ("Seeds", "1:3", "8 of 16 episodes"),
        ("Steps, at most", "20", "7 of 16 episodes"),
        ("Invalid answers, at least", "1", "0 of 16 episodes"),
    ):
        page.get_by_label(label, exact=True).fill(text)
        counted(page, left)
    expect(page.get_by_text("No episode matches.")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    counted(page, "16 episodes")
    page.get_by_label("Seeds", exact=True).fill("five")
    expect(page.locator("#filter-trouble")).to_have_text(
        "five is not a valid seed range; use 200:220 or 1,5,9"
    )
    counted(page, "16 episodes")
    seen.check(viewer)


def test_searching_in_what_was_thought(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + RUN)
    counted(page, "16 episodes")
    page.keyboard.press("/")
    page.keyboard.type("KEY MUST BE")
    counted(page, "2 of 16 episodes")
    expect(page).to_have_url(re.compile("text=KEY"))
    seen.check(viewer)


def test_the_table_sorts_and_is_walked_by_keys(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + RUN + "&view=table")
    expect(page.locator(".episodes tbody tr:not(.space)")).to_have_count(16)
    page.get_by_role("button", name="Steps", exact=True).click()
    heading = page.get_by_role("columnheader", name="Steps", exact=True)
    expect(heading).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Steps", exact=True).click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile("sort=-length"))
    lengths = page.evaluate(
        "[...document.querySelectorAll('.episodes tbody tr:not(.space)')].map(r => r.cells[5].textContent)"
    )
    known = [int(text) for text in lengths if text != "–"]
    assert known == sorted(known, reverse=True)
    assert lengths[len(known) :] == ["–"] * 3, "what is not known comes last"
    page.keyboard.press("f")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".episodes")).to_have_attribute("aria-activedescendant", re.compile("^episode-"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#/episode\?run=first&id="))
    page.go_back()
    expect(heading).to_have_attribute("aria-sort", "descending")
    seen.check(viewer)


def test_figures_are_pictures(seen: Seen, viewer: str) -> None:
    page = seen.open(viewer + RUN)
    page.keyboard.press("3")
    picture = page.get_by_role("img", name=re.compile("^Success rate"))
    expect(picture.first).to_be_visible(timeout=60_000)
    page.wait_for_function("() => [...document.images].every((image) => image.naturalWidth > 0)")
    assert page.locator(".figures svg").count() == 0
    check_accessible(page, "figures")
    seen.check(viewer)


@pytest.mark.parametrize("view", ["grid", "table"])
@pytest.mark.parametrize("width", [1280, 400])
def test_accessible_and_no_wider_than_the_screen(seen: Seen, viewer: str, view: str, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 800})
    page = seen.open(viewer + RUN + f"&view={view}&outcome=success&outcome=failure")
    counted(page, "11 of 16 episodes")
    if width == 400:
        page.get_by_role("button", name="Filters (on)").click()
        expect(page.get_by_role("checkbox", name=re.compile("^success"))).to_be_visible()
    check_accessible(page, view)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_run_in_progress_changes_without_losing_the_place(seen: Seen, tmp_path: Path) -> None:
    write_first(tmp_path)
    with served(tmp_path) as address:
        page = seen.open(address + RUN + "&outcome=success")
        counted(page, "8 of 16 episodes")
        page.keyboard.press("f")
        page.keyboard.press("ArrowRight")
        expect(live_cell(page)).to_contain_text("goto, seed 1")
        write_run(tmp_path, [play(expert, task="goto", seed=3)], "later")
        record = (tmp_path / "later" / "episodes.jsonl").read_text(encoding="utf-8")
        steps = (tmp_path / "later" / "steps.jsonl").read_text(encoding="utf-8")
        for name, text in (("steps.jsonl", steps), ("episodes.jsonl", record)):
            with (tmp_path / "first" / name).open("a", encoding="utf-8") as file:
                file.write(text.replace('"later"', '"first"'))
        counted(page, "9 of 16 episodes")
        expect(live_cell(page)).to_contain_text("goto, seed 1")
        expect(page.locator(".run-head")).to_contain_text("12 of 16 episodes")
        seen.check(address)


def test_hostile_names_and_texts_are_text(seen: Seen, tmp_path: Path) -> None:
    name = HOSTILE.replace("\ud800", "")
    large = Reply("turn left", thinking="<b>" + "x" * 2_000_000)
    episodes = [play([large, *["go forward"] * 3], seed=1, model="m"), play(expert, seed=2, model="m")]
    rename_model(write_run(tmp_path, episodes, "first", model="m"), "m", name)
    with served(tmp_path) as address:
        page = seen.open(address)
        expect(page.locator("tr.entry .model").first).to_contain_text("<")
        for view in ("grid", "table"):
            page.goto(address + RUN + f"&view={view}")
            counted(page, "2 episodes")
            expect(page.get_by_role("main")).to_contain_text("<script")
        page.goto(address + RUN + "&text=%3Cb%3Exxx")
        counted(page, "1 of 2 episodes")
        assert page.locator("main b script, main img").count() == 0
        seen.check(address)


def test_an_export_opened_from_disk(seen: Seen, results: Path, tmp_path: Path) -> None:
    export(["first", "second"], tmp_path / "out", results=results)
    base = (tmp_path / "out").as_uri() + "/"
    page = seen.open(base + "index.html")
    expect(page.locator("tr.run")).to_have_count(2)
    page.get_by_role("link", name="first", exact=True).click()
    counted(page, "16 episodes")
    page.get_by_label("Text").fill("key must be")
    counted(page, "2 of 16 episodes")
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    expect(page.get_by_role("img", name=re.compile("^Success rate")).first).to_be_visible()
    page.get_by_role("link", name="Compare agents").click()
    expect(page.locator(".verdict")).to_contain_text("by 50.0 points")
    seen.check(base)
