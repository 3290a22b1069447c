"""Pages as a browser sees them: no script error, no request, pictures there, stepping works.

Needs Chromium and playwright (see tests.support.browser); skipped without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babyai_kit import load_replay, write_report
from babyai_kit.replay.tiles import TILE, legible
from tests.replay.test_replay import HOSTILE
from tests.support.browser import NEEDS_CHROMIUM, Seen, expect, pixels
from tests.support.journals import Reply, expert, idle, play, rename_model, seed_where, walk_to, write_run
from tests.support.project import CONFIG

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    hostile = [Reply("turn left", thinking=HOSTILE), Reply(raw=HOSTILE), "go forward"]
    folder = write_run(
        results,
        [
            play(expert, task="open", seed=1, model="m"),
            play(hostile, task="goto", seed=2, model="m", variant="reasoning"),
            play(idle, task="goto", seed=1, model="m", variant="reasoning", stop_after=9),
        ],
        model="m",
    )
    rename_model(folder, "m", HOSTILE.replace("\ud800", ""))
    return results


def at(frame: Any, text: str) -> None:
    """Waits until the player says that it is there."""
    expect(frame.locator("#count")).to_have_text(re.compile(f"^{text}"))


def test_the_player_shows_every_step_as_it_was(seen: Seen, results: Path, tmp_path: Path) -> None:
    replay = load_replay("r", results=results, task="open")
    page = seen.open(replay.save(tmp_path / "player.html"))
    last = len(replay.trajectory.steps)
    at(page, f"step 1 of {last}$")
    for index, (env, step) in enumerate(replay.trajectory.states()):
        assert (pixels(page, "grid") == legible(env.get_frame(tile_size=TILE))).all()
        assert (pixels(page, "view") == legible(env.agent_view(TILE))).all()
        assert page.locator("#observation").text_content() == env.gen_obs()["text"]
        if step:
            assert page.locator("#action").text_content() == step.action
            at(page, f"step {index + 1} of {last}$")
        page.keyboard.press("ArrowRight")
    at(page, f"after {last} of at most 128 steps$")
    assert page.locator("#action").text_content().startswith("Success after")
    assert page.locator("#forward").is_disabled()
    seen.check()


def test_keys_buttons_and_slider_step(seen: Seen, results: Path, tmp_path: Path) -> None:
    page = seen.open(load_replay("r", results=results, task="open").save(tmp_path / "player.html"))
    at(page, "step 1 of")
    for press, expected in (
        (lambda: page.keyboard.press("End"), "after"),
        (lambda: page.keyboard.press("Home"), "step 1 "),
        (lambda: page.keyboard.press("ArrowLeft"), "step 1 "),
        (lambda: page.locator("#forward").click(), "step 2 "),
        (lambda: page.keyboard.press("ArrowRight"), "step 3 "),
        (lambda: page.locator("#back").click(), "step 2 "),
        (lambda: page.locator("#last").click(), "after"),
        (lambda: page.locator("#first").click(), "step 1 "),
        (lambda: page.locator("#place").fill("4"), "step 5 "),
        (lambda: (page.locator("#place").focus(), page.keyboard.press("ArrowRight")), "step 6 "),
    ):
        press()
        at(page, expected)
    seen.check()


def test_it_plays_pauses_and_stops_at_the_end(seen: Seen, results: Path, tmp_path: Path) -> None:
    page = seen.open(load_replay("r", results=results, task="open").save(tmp_path / "player.html"))
    at(page, "step 1 of")
    page.locator("#speed").select_option("400")
    page.locator("#play").click()
    at(page, "step [3-9] ")  # a busy machine may miss one of them
    assert page.locator("#play").text_content() == "Pause"
    page.keyboard.press(" ")
    assert page.locator("#play").text_content() == "Play"
    position = page.locator("#count").text_content()
    page.wait_for_timeout(1000)
    at(page, f"{position}$")
    page.locator("#speed").select_option("125")
    page.locator("#play").click()
    at(page, "after")
    assert page.locator("#play").text_content() == "Play"
    page.locator("#speed").select_option("1000")
    page.locator("#play").click()  # from the beginning again
    at(page, "step [23] ")
    seen.check()


def test_blue_can_be_seen_on_black() -> None:
    tiles = np.array([[[[0, 0, 255], [0, 0, 0]], [[255, 0, 0], [100, 100, 100]]]], np.uint8)
    blue, *others = legible(tiles).reshape(-1, 3)
    shares = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in blue / 255]
    assert (np.dot([0.2126, 0.7152, 0.0722], shares) + 0.05) / 0.05 > 3  # WCAG 2.1, contrast with black
    assert (np.array(others) == tiles.reshape(-1, 3)[1:]).all()


def opener(env: Any, mission: str) -> Iterator[str]:
    """Walks to the box that the mission names, opens it and goes on."""
    box = env.objects[0]
    yield from walk_to(env, f"{box.color} {box.type}")
    yield from ("toggle", "turn left", "go forward")


def test_the_fatal_step_is_marked_and_found(seen: Seen, tmp_path: Path) -> None:
    seed = seed_where("pickup", lambda env: env.objects[0].type == "box")
    episode = play(opener, task="pickup", seed=seed)
    write_run(tmp_path, [episode])
    number = [step.action for step in episode.steps].index("toggle") + 1
    page = seen.open(load_replay("r", results=tmp_path).save(tmp_path / "player.html"))
    at(page, "step 1 of")
    assert page.locator("#fatal").is_hidden()
    assert page.locator("#to-fatal").inner_text() == f"Fatal step {number}"
    page.locator("#to-fatal").click()
    at(page, f"step {number} of")
    assert page.locator("#fatal").is_visible()
    assert page.locator("#done").text_content() == f"Step {number}: toggle (fatal)"
    page.keyboard.press("ArrowRight")
    assert page.locator("#fatal").is_hidden()
    seen.check()


def test_what_is_drawn_is_said(seen: Seen, results: Path, tmp_path: Path) -> None:
    page = seen.open(load_replay("r", results=results, task="open").save(tmp_path / "player.html"))
    at(page, "step 1 of")
    assert page.locator("#to-fatal").is_hidden()  # a success has no fatal step
    page.keyboard.press("ArrowRight")
    said = page.locator("#done")
    assert said.get_attribute("role") == "status"
    assert said.get_attribute("aria-live") == "polite"
    assert said.text_content() == f"Step 2: {page.locator('#action').text_content()}"
    assert "before step 2" in page.locator("#grid").get_attribute("aria-label")
    observation = page.locator("#observation").text_content()
    assert page.locator("#view").get_attribute("aria-label") == f"The agent's view: {observation}"
    seen.check()


def test_on_a_narrow_screen_the_action_is_beside_the_buttons(
    seen: Seen, results: Path, tmp_path: Path
) -> None:
    seen.page.set_viewport_size({"width": 400, "height": 700})
    page = seen.open(load_replay("r", results=results, task="open").save(tmp_path / "player.html"))
    at(page, "step 1 of")
    done, grid = page.locator("#done").bounding_box(), page.locator("#grid").bounding_box()
    assert done["width"] > 100
    assert done["y"] + done["height"] <= grid["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    seen.check()


def test_pages_are_dark_where_the_reader_wants_it(seen: Seen, results: Path, tmp_path: Path) -> None:
    seen.page.emulate_media(color_scheme="dark")
    page = seen.open(load_replay("r", results=results, task="open").save(tmp_path / "player.html"))
    colour = "getComputedStyle(document.body).backgroundColor"
    assert max(map(int, re.findall(r"\d+", page.evaluate(colour)))) < 64
    page.emulate_media(media="print")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    seen.check()


def test_hostile_text_is_read_and_not_run(seen: Seen, results: Path, tmp_path: Path) -> None:
    replay = load_replay("r", results=results, seed=2)
    page = seen.open(replay.save(tmp_path / "player.html"))
    at(page, "step 1 of")
    assert "<script>window.hacked = 1</script>" in page.locator("#thinking").text_content()
    assert page.locator("#invalid").is_hidden()
    page.keyboard.press("ArrowRight")
    page.locator("#raw summary").click()
    assert "</script><img src=x" in page.locator("#answer").text_content()
    assert page.locator("#invalid").is_visible()
    assert page.locator("#thinks").is_hidden()
    seen.check()


def test_a_script_that_got_in_would_still_not_run(seen: Seen, results: Path, tmp_path: Path) -> None:
    planted = "<script>window.hacked = 1</script><img src='x' onerror='window.hacked = 2'></body>"
    html = load_replay("r", results=results, seed=2).html().replace("</body>", planted)
    file = tmp_path / "player.html"
    file.write_text(html)
    page = seen.open(file)
    at(page, "step 1 of")
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert len([m for m in seen.trouble if "Content Security Policy" in m]) >= 2


def test_several_players_in_one_page_do_not_meet(seen: Seen, results: Path, tmp_path: Path) -> None:
    """As a notebook shows them: in a page that has scripts and a policy of its own, or none."""
    replays = [
        load_replay("r", results=results, **criteria) for criteria in ({"task": "open"}, {"seed": 2}, {})
    ]
    file = tmp_path / "notebook.html"
    cells = "".join(f"<div>{replay._repr_html_()}</div>" for replay in replays)
    file.write_text(f"<!doctype html><meta charset=utf-8><script>var episode = 7, now = 8;</script>{cells}")
    page = seen.open(file)
    one, two, three = page.frames[1:]
    for frame in (one, two, three):
        at(frame, "step 1 of")
    one.locator("#forward").click()
    page.keyboard.press("ArrowRight")
    two.locator("#forward").click()
    for number, frame in ((3, one), (2, two), (1, three)):
        at(frame, f"step {number} of")
    assert page.evaluate("[episode, now]") == [7, 8]
    widths = page.evaluate(
        "[...document.querySelectorAll('iframe')].map(f => [f.offsetWidth, f.parentElement.clientWidth])"
    )
    assert all(own <= room for own, room in widths)
    assert one.evaluate("try { parent.document.title } catch (error) { error.name }") == "SecurityError"
    seen.check()


def fits(page: Any) -> bool:
    """Whether each player's frame has the height of what is in it, but for its border. A browser lays out
    sandboxed frames only where they are in view."""
    for frame in page.frames[1:]:
        frame.frame_element().scroll_into_view_if_needed()
        page.wait_for_timeout(50)
    outer = page.evaluate("[...document.querySelectorAll('iframe')].map(f => f.clientHeight)")
    inner = [f.evaluate("document.documentElement.getBoundingClientRect().height") for f in page.frames[1:]]
    return all(0 <= room - needed <= 2 for room, needed in zip(outer, inner, strict=True))


def wait_until(is_so: Callable[[], bool], page: Any) -> None:
    for _ in range(200):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not become so in 20 s")


def test_frames_are_as_high_as_their_players(seen: Seen, results: Path, tmp_path: Path) -> None:
    """In a page that is no report, as a notebook, at every width; and none shrinks while one steps."""
    file = tmp_path / "notebook.html"
    replays = [load_replay("r", results=results, **criteria) for criteria in ({"task": "open"}, {"seed": 2})]
    cells = "".join(f"<div>{replay._repr_html_()}</div>" for replay in replays)
    file.write_text(f"<!doctype html><meta charset=utf-8>{cells}")
    page = seen.open(file)
    one, two = page.frames[1:]
    heights = []
    for width in (1400, 700, 400):
        page.set_viewport_size({"width": width, "height": 800})
        at(one, "step 1 of")
        wait_until(lambda: fits(page), page)
        heights.append(one.frame_element().bounding_box()["height"])
    assert len(set(heights)) == 3
    before = two.frame_element().bounding_box()["height"]
    two.locator("#last").click()
    at(two, "after")
    two.locator("#first").click()
    at(two, "step 1 of")
    assert two.frame_element().bounding_box()["height"] >= before
    assert one.evaluate("document.documentElement.scrollWidth") <= 400
    seen.check()


def test_no_other_page_moves_a_frame(seen: Seen, results: Path, tmp_path: Path) -> None:
    file = tmp_path / "notebook.html"
    script = "<script>parent.postMessage({babyaiHeight: 4000}, &quot;*&quot;)</script>"
    foreign = f'<iframe srcdoc="{script}"></iframe>'
    replay = load_replay("r", results=results, task="open")
    file.write_text(f"<!doctype html><meta charset=utf-8>{replay._repr_html_()}{foreign}")
    page = seen.open(file)
    at(page.frames[1], "step 1 of")
    for message in ({"babyaiHeight": "9"}, {"babyaiHeight": -5}, {"babyaiHeight": 3000}, None, "x"):
        page.evaluate("message => window.postMessage(message, '*')", message)
    page.wait_for_timeout(300)
    heights = page.evaluate("[...document.querySelectorAll('iframe')].map(f => f.clientHeight)")
    assert max(heights) < 2000
    seen.check()


def test_on_paper_nothing_is_cut(seen: Seen, results: Path) -> None:
    report = write_report("r", results=results, config=CONFIG, figures=("success_rate",))
    seen.page.set_viewport_size({"width": 680, "height": 900})  # A4 less its margins
    page = seen.open(report.page)
    at(page.frames[1], "step 1 of")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    shown = "f => [...document.querySelectorAll(f)].filter(e => e.offsetHeight > 0).length"
    assert page.evaluate(shown, "iframe") == 0
    assert page.evaluate(shown, ".printed") == 2
    outside = (
        "[...document.querySelectorAll('table, img, pre')].filter(e => e.getBoundingClientRect().right > 680)"
    )
    assert page.evaluate(f"{outside}.length") == 0
    clipped = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert page.evaluate(clipped) == 0
    success, failure = (part.inner_text() for part in page.locator(".printed").all())
    assert "Actions: " in success
    assert "Success after" in success
    assert "Failure" in failure
    page.emulate_media(media="screen", color_scheme="light")
    assert page.evaluate(shown, ".printed") == 0
    assert len(page.pdf(format="A4")) > 10_000
    seen.check()


def test_tables_need_no_sideways_scroll_on_a_telephone(seen: Seen, results: Path) -> None:
    report = write_report("r", results=results, config=CONFIG, figures=("success_rate",))
    seen.page.set_viewport_size({"width": 400, "height": 800})
    page = seen.open(report.page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    over = "s => [...document.querySelectorAll(s)].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert page.evaluate(over, ".table .wide, .table figcaption, .chart figcaption, td, th") == 0
    first = page.locator("table").first
    head = [th.text_content() for th in first.locator("thead th").all()]
    cells = first.locator("tbody tr").first.locator("td").all()
    said = [cell.evaluate("e => getComputedStyle(e, '::before').content") for cell in cells]
    assert said == [f'"{name}"' for name in head[1:]]
    seen.check()


@pytest.mark.filterwarnings("ignore:Glyph")
def test_the_report_is_whole(seen: Seen, results: Path) -> None:
    report = write_report("r", results=results, config=CONFIG)
    page = seen.open(report.page)
    assert page.evaluate("document.images.length") >= 7
    (one, two) = page.frames[1:]
    at(one, "step 1 of")
    one.locator("#forward").click()
    at(one, "step 2 of")
    at(two, "step 1 of")
    for link in page.locator("nav a").all():
        link.click()
    for detail in page.locator("summary").all():
        detail.click()
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert "INCOMPLETE" in page.locator("header").inner_text()
    seen.check()
