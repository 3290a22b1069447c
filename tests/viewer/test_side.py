"""Agents side by side in a browser: stepped together, where they differ, the seeds on which they disagree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run
from babyai_kit.runs.journal import Journal
from tests.support.journals import expert, idle, play, write_run
from tests.viewer.accessibility import check_accessible
from tests.viewer.conftest import Seen, served

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
sync_api.expect.set_options(timeout=20_000)


def expect(locator: Any) -> Any:
    return sync_api.expect(locator)


def then(*actions: str) -> Any:
    """The expert's first two actions, then these."""

    def policy(env: Any, mission: str) -> Iterator[str]:
        first = expert(env, mission)
        yield next(first)
        yield next(first)
        yield from actions

    return policy


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `pairs`, whose agents disagree on seeds 1 and 3 of four, and the run `other`."""
    results = tmp_path_factory.mktemp("pairs")
    lost = then("drop", "turn left")
    write_run(
        results,
        [
            *(play(expert, task="open", seed=seed) for seed in range(4)),
            *(
                play(lost if seed % 2 else expert, task="open", seed=seed, variant="reasoning")
                for seed in range(4)
            ),
        ],
        "pairs",
    )
    write_run(results, [play(idle, task="open", seed=1, variant="history")], "other")
    return results


@pytest.fixture(scope="module")
def viewer(pairs: Path) -> Iterator[str]:
    with served(pairs) as address:
        yield address


def of(results: Path, seed: int, *agents: tuple[str, str], step: int = 1) -> str:
    """The address of (run, variant) side by side on a seed, below that of the viewer."""
    ids = []
    for run, variant in agents:
        trajectories = Run.open(run, results=results).trajectories()
        ids += [
            f"{run}/{t.episode_id}" for t in trajectories if (t.key.variant, t.key.seed) == (variant, seed)
        ]
    return "#/side?" + "&".join(f"of={one}" for one in ids) + f"&step={step}"


BOTH = ("pairs", "baseline"), ("pairs", "reasoning")


def at(page: Any, text: str) -> None:
    expect(page.locator(".abreast .at")).to_have_text(re.compile(f"^{text}"))


def current(page: Any) -> list[str]:
    """The present move of each agent, without its marks."""
    return [move.inner_text() for move in page.locator(".moves [aria-current] .action").all()]


def test_agents_are_stepped_together_and_stay_where_they_ended(seen: Seen, viewer: str, pairs: Path) -> None:
    page = seen.open(viewer + of(pairs, 1, *BOTH))
    at(page, "Step 1 of 128")
    expect(page.locator(".column")).to_have_count(2)
    winner, loser = (
        next(t for t in Run.open("pairs", results=pairs).trajectories() if (t.key.variant, t.key.seed) == who)
        for who in (("baseline", 1), ("reasoning", 1))
    )
    for number in (1, 2, 3, 4):
        at(page, f"Step {number} of")
        assert current(page) == [t.steps[number - 1].action for t in (winner, loser)]
        page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    at(page, "End, after 128 steps")
    assert current(page) == ["✓ success", "✗ failure"]
    page.keyboard.press("ArrowLeft")
    at(page, "Step 128 of 128")
    assert current(page) == ["✓ success", "turn left"]
    page.locator(".column").nth(0).locator(".move").nth(1).click()
    at(page, "Step 2 of")
    page.wait_for_url(re.compile("step=2$"))
    seen.check(viewer)


def test_the_first_difference_is_told_marked_and_found(seen: Seen, viewer: str, pairs: Path) -> None:
    page = seen.open(viewer + of(pairs, 1, *BOTH))
    words = page.locator(".words")
    expect(words).to_contain_text("Step 3 is the first that differs, after the same observation.")
    expect(words).to_contain_text("reasoning: drop")
    expect(words).to_contain_text(re.compile(r"Their states differ from step \d+ on\."))
    expect(page.locator(".move.differs")).to_have_count(2)
    page.keyboard.press("d")
    at(page, "Step 3 of")
    expect(page.locator(".move.differs[aria-current]")).to_have_count(2)
    expect(page.locator("#say")).to_have_text(re.compile("the first difference"))
    page.goto(viewer + of(pairs, 0, *BOTH))
    expect(words).to_have_text("They did the same in every step.")
    expect(page.get_by_role("button", name="First difference")).to_be_disabled()
    seen.check(viewer)


def test_the_seeds_on_which_they_disagree_are_next_and_previous(seen: Seen, viewer: str, pairs: Path) -> None:
    page = seen.open(viewer + of(pairs, 0, *BOTH))
    around = page.locator(".abreast .around").nth(1)
    expect(around).to_contain_text("2 disagreements")
    for key, seed, place in (("]", 1, "1 of 2"), ("]", 3, "2 of 2"), ("]", 1, "1 of 2"), ("[", 3, "2 of 2")):
        page.keyboard.press(key)
        expect(page.locator(".about")).to_contain_text(f"open, seed {seed}")
        expect(around).to_contain_text(f"disagreement {place}")
        at(page, "Step 1 of")
    page.keyboard.press("k")
    expect(page.locator(".about")).to_contain_text("open, seed 2")
    page.get_by_label("Next seed", exact=True).click()
    expect(page.locator(".about")).to_contain_text("open, seed 3")
    page.get_by_label("Previous disagreement").click()
    expect(page.locator(".about")).to_contain_text("open, seed 1")
    page.go_back()
    expect(page.locator(".about")).to_contain_text("open, seed 3")
    seen.check(viewer)


def test_agents_are_chosen_also_from_other_runs(seen: Seen, viewer: str, pairs: Path) -> None:
    page = seen.open(viewer + of(pairs, 1, BOTH[0], step=4))
    expect(page.locator(".column")).to_have_count(1)
    page.locator(".chooser summary").click()
    page.get_by_label("reasoning").check()
    expect(page.locator(".column")).to_have_count(2)
    at(page, "Step 4 of")
    page.get_by_label("Another run").select_option("other")
    page.locator(".agent-list").get_by_label("history").check()
    expect(page.locator(".column")).to_have_count(3)
    expect(page.locator(".column > header h2")).to_have_text(
        ["baseline, pairs", "reasoning, pairs", "history, other"]
    )
    expect(page.locator(".line")).to_have_count(3)
    page.get_by_label("Without reasoning, pairs").click()
    expect(page.locator(".column")).to_have_count(2)
    expect(page.locator(".words")).to_contain_text("history, other: turn left")
    seen.check(viewer)


def test_episodes_of_different_seeds_are_refused(seen: Seen, viewer: str, pairs: Path) -> None:
    one, two = of(pairs, 1, BOTH[0]), of(pairs, 2, BOTH[1])
    page = seen.open(viewer + one.partition("&step")[0] + "&" + two.partition("?")[2])
    expect(page.locator(".trouble")).to_contain_text("different tasks or seeds")


def test_unfinished_episodes_grow_side_by_side(seen: Seen, tmp_path: Path) -> None:
    whole = play(expert, task="open", seed=1, variant="reasoning")
    begun = replace(whole, steps=whole.steps[:2], record=None)
    folder = write_run(tmp_path, [play(expert, task="open", seed=1), begun], "live")
    with served(tmp_path) as address:
        page = seen.open(address + of(tmp_path, 1, ("live", "baseline"), ("live", "reasoning")))
        at(page, f"Step 1 of {len(whole.steps)}")
        expect(page.locator(".column").nth(1).locator(".move.end")).to_contain_text("so far")
        expect(page.locator(".words")).to_contain_text("no answer yet")
        with Journal(folder) as journal:
            for record in (*whole.steps[2:], whole.record):
                journal.append(replace(record, run="live"))
        expect(page.locator(".words")).to_have_text("They did the same in every step.")
        expect(page.locator(".column").nth(1).locator(".move.end")).to_contain_text("success")
        seen.check(address)


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_it_fits_every_screen(seen: Seen, viewer: str, pairs: Path, width: int, scheme: Any) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.page.emulate_media(color_scheme=scheme)
    held: list[Any] = []
    seen.page.route("**/api/runs", lambda route: held.append(route))  # what the choice of agents waits for
    page = seen.open(viewer + of(pairs, 1, *BOTH, step=3))
    at(page, "Step 3 of")
    before = page.evaluate(PLACES)
    while not held:
        page.wait_for_timeout(20)
    for request in held:
        request.continue_()
    expect(page.locator(".around").last).to_contain_text("disagree")
    expect(page.locator(".waiting")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    one, two = (column.bounding_box() for column in page.locator(".column").all())
    if width == 400:
        assert one["y"] + one["height"] <= two["y"]
    else:
        assert one["x"] + one["width"] <= two["x"]
    places = page.evaluate(PLACES)
    assert places == before
    for key in ("ArrowRight", "n", "End", "Home"):
        page.keyboard.press(key)
        assert page.evaluate(PLACES) == places  # nothing jumps
    seen.check(viewer)


@pytest.mark.parametrize("width", [1400, 400])
def test_axe_finds_nothing(seen: Seen, viewer: str, pairs: Path, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    page = seen.open(viewer + of(pairs, 1, *BOTH, step=3))
    at(page, "Step 3 of")
    page.locator(".chooser summary").click()
    expect(page.get_by_label("Another run")).to_be_visible()
    check_accessible(page, f"side by side, {width} px")


PLACES = """[...document.querySelectorAll('.column, .board, .pane, .moves, .timeline')]
  .map((e) => e.getBoundingClientRect()).map(({x, y, width, height}) => [x, y, width, height].join())"""
