"""The page of an episode in a browser: what it shows of a step, its keys, its address, and how it grows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.trajectories import Trajectory
from babyai_kit.viewer.export import export
from tests.support.journals import Reply, expert, play, seed_where, walk_to, write_run
from tests.viewer.accessibility import check_accessible
from tests.viewer.conftest import Seen, served

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
sync_api.expect.set_options(timeout=20_000)
HOSTILE = (
    "</script><img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>\x1b[31m\u202egnp\x00"
)
MEGABYTES = "word " * 500_000
CURRENT = ".moves [aria-current]"


def expect(locator: Any) -> Any:
    return sync_api.expect(locator)


def opener(env: Any, mission: str) -> Iterator[str]:
    """Walks to the box that the mission names, opens it and goes on."""
    box = env.objects[0]
    yield from walk_to(env, f"{box.color} {box.type}")
    yield from ("toggle", "turn left", "go forward")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `odd`: a fatal step, hostile and long texts."""
    results = tmp_path_factory.mktemp("odd")
    seed = seed_where("pickup", lambda env: env.objects[0].type == "box")
    replies = [
        Reply("turn left", thinking=HOSTILE),
        Reply(raw=HOSTILE),
        Reply("turn left", thinking=MEGABYTES),
    ]
    write_run(
        results,
        [
            play(opener, task="pickup", seed=seed, variant="reasoning"),
            play(replies, task="goto", seed=1, variant="reasoning", stop_after=3),
        ],
        "odd",
    )
    return results


@pytest.fixture(scope="module")
def odd_viewer(odd: Path) -> Iterator[str]:
    with served(odd) as address:
        yield address


def trajectory(results: Path, run: str, fits: Callable[[Trajectory], bool]) -> Trajectory:
    return next(t for t in Run.open(run, results=results).trajectories() if fits(t))


def of(run: str, episode: Trajectory, **params: object) -> str:
    """The address of an episode below that of the viewer."""
    more = "".join(f"&{name}={value}" for name, value in params.items())
    return f"#/episode?run={run}&id={episode.episode_id}{more}"


def at(page: Any, number: int | str) -> None:
    """Waits until the step of that number, or the end, is on screen."""
    text = f"Step {number} of" if isinstance(number, int) else "End, after"
    expect(page.locator(".at")).to_have_text(re.compile(f"^{text}"))


def body(page: Any, name: str) -> Any:
    return page.locator(f".pane.{name} .body")


def picture(page: Any, kind: str) -> str:
    """The pixels of the level or the view, once it is drawn."""
    canvas = page.locator(f".board.{kind} canvas")
    expect(canvas).to_have_attribute("aria-label", re.compile("."))
    found: str = canvas.evaluate("c => c.toDataURL()")
    return found


def test_every_step_is_shown_as_it_was(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.key.variant == "reasoning" and t.key.task == "open")
    page = seen.open(viewer + of("first", episode))
    at(page, 1)
    (step,) = episode.steps[:1]
    expect(page.locator("h1")).to_have_text(re.compile("^open the .* door$"))
    assert body(page, "observation").inner_text().split("\n") == step.observation.split("\n")
    expect(body(page, "thought")).to_contain_text("The key must be behind the door.")
    expect(body(page, "answer")).to_contain_text('"action": "go forward"')
    facts = page.locator(".step-facts")
    expect(facts).to_contain_text("100 in, 10 out")
    expect(facts).to_contain_text("500 ms")
    expect(page.locator(".about")).to_contain_text("Offline player: not an LLM")
    assert "The agent is in column" in page.locator(".board.level canvas").get_attribute("aria-label")
    page.keyboard.press("ArrowRight")
    at(page, 2)
    assert body(page, "observation").inner_text().split("\n") == episode.steps[1].observation.split("\n")
    page.keyboard.press("End")
    at(page, "end")
    expect(page.locator(CURRENT)).to_contain_text("failure")
    seen.check(viewer)


def test_the_prompt_is_shown_as_the_model_saw_it(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.key.variant == "reasoning" and t.key.task == "open")
    page = seen.open(viewer + of("first", episode, step=2))
    prompt = body(page, "prompt")
    user = prompt.locator(".message.user pre")
    for line in episode.steps[1].observation.split("\n"):
        expect(user).to_contain_text(line)
    system = prompt.locator(".fold pre")
    expect(system).to_be_hidden()
    prompt.locator("summary").click()
    expect(system).to_contain_text("toggle")
    page.keyboard.press("ArrowRight")
    at(page, 3)
    expect(system).to_be_visible()  # as it was left
    seen.check(viewer)


def test_level_and_view_are_drawn_anew_for_each_step(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.success is True and t.key.task == "open")
    page = seen.open(viewer + of("first", episode))
    at(page, 1)
    page.wait_for_function("document.querySelector('.board.view canvas').width > 100")
    drawn = set()
    for number in range(2, len(episode.steps) + 1):
        drawn.add((picture(page, "level"), picture(page, "view")))
        page.keyboard.press("ArrowRight")
        at(page, number)
    assert len({level for level, _ in drawn}) == len(episode.steps) - 1
    assert len({view for _, view in drawn}) > 1
    seen.check(viewer)


def test_keys_buttons_moves_and_timeline_step(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.success is True and t.key.task == "open")
    count = len(episode.steps)
    page = seen.open(viewer + of("first", episode, step=3))
    at(page, 3)
    line = page.locator(".timeline")
    width = line.bounding_box()["width"]
    presses: tuple[tuple[Callable[[], object], int | str], ...] = (
        (lambda: page.keyboard.press("Home"), 1),
        (lambda: page.keyboard.press("ArrowLeft"), 1),
        (lambda: page.get_by_role("button", name="Forward (→)").click(), 2),
        (lambda: page.keyboard.press("ArrowRight"), 3),
        (lambda: page.get_by_role("button", name="Last (End)").click(), "end"),
        (lambda: page.keyboard.press("ArrowLeft"), count),
        (lambda: page.locator(".move").nth(4).click(), 5),
        (lambda: page.keyboard.press("ArrowRight"), 6),
        (lambda: line.click(position={"x": 12, "y": 40}), 1),
        (lambda: line.click(position={"x": width - 10, "y": 40}), "end"),
    )
    for press, number in presses:
        press()
        at(page, number)
        place = count if number == "end" else int(number) - 1
        expect(page.locator(".move").nth(place)).to_have_attribute("aria-current", "step")
        expect(line).to_have_attribute("aria-valuenow", str(place + 1))
    expect(page.locator("#say")).to_have_text(re.compile("^End: Success"))
    seen.check(viewer)


def test_a_moment_has_an_address(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.success is True and t.key.task == "open")
    page = seen.open(viewer + of("first", episode, step=4))
    at(page, 4)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("step=5"))
    page.reload()
    at(page, 5)
    page.goto(viewer + of("first", episode, step=2))
    at(page, 2)
    page.go_back()
    at(page, 5)
    page.goto(viewer + of("first", episode, step=9999))
    at(page, "end")
    page.goto(viewer + "#/episode?run=first&id=nothing")
    expect(page.locator(".trouble")).to_contain_text("nothing")
    page.go_back()
    at(page, "end")
    expect(page.locator(".move").first).to_be_visible()


def test_it_plays_and_stops_at_the_end(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.success is True and t.key.task == "goto")
    page = seen.open(viewer + of("first", episode))
    at(page, 1)
    page.get_by_label("Steps a second").select_option("16")
    page.keyboard.press(" ")
    at(page, "end")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.get_by_label("Steps a second").select_option("1")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    seen.check(viewer)


def test_what_went_wrong_is_marked_and_found(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: any(not s.valid for s in t.steps))
    number = next(s.step for s in episode.steps if not s.valid) + 1
    page = seen.open(viewer + of("first", episode, step=number - 1))
    at(page, number - 1)
    page.keyboard.press("n")
    at(page, number)
    expect(page.locator(CURRENT)).to_contain_text("invalid")
    expect(page.locator(".step-facts")).to_contain_text("“go forward” was done")
    assert page.locator(".timeline .bar.invalid").count() == sum(not s.valid for s in episode.steps)
    expect(page.locator(".move.repeat").first).to_contain_text("repeated")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("p")
    at(page, number)
    seen.check(viewer)


def test_the_point_of_no_return(seen: Seen, odd_viewer: str, odd: Path) -> None:
    episode = trajectory(odd, "odd", lambda t: t.key.task == "pickup")
    number = [s.action for s in episode.steps].index("toggle") + 1
    page = seen.open(odd_viewer + of("odd", episode))
    at(page, 1)
    expect(page.locator(".move.fatal")).to_have_count(1)
    page.locator(".move.fatal").click()
    at(page, number)
    expect(page.locator(CURRENT)).to_contain_text("fatal")
    expect(page.locator(".timeline .edge.fatal")).to_have_count(1)
    expect(page.locator(".timeline")).to_have_attribute("aria-valuetext", re.compile("point of no return"))
    expect(page.locator(".ending")).to_contain_text("failure")
    seen.check(odd_viewer)


def test_the_shortest_way_is_an_overlay(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.success is True and t.key.task == "open")
    page = seen.open(viewer + of("first", episode))
    at(page, 1)
    switch = page.get_by_label(f"Shortest way, {episode.record.shortest_length} steps")  # type: ignore[union-attr]
    page.wait_for_function("document.querySelector('.board.level canvas').width > 300")
    plain = picture(page, "level")
    page.keyboard.press("w")
    expect(switch).to_be_checked()
    drawn = "plain => document.querySelector('.board.level canvas').toDataURL() !== plain"
    page.wait_for_function(drawn, arg=plain)
    switch.uncheck()
    page.wait_for_function(drawn.replace("!==", "==="), arg=plain)
    seen.check(viewer)


def test_the_episodes_before_and_after_are_those_of_the_filters(
    seen: Seen, viewer: str, results: Path
) -> None:
    table = Run.open("first", results=results).episodes()
    failed = table[table["success"].eq(False)]["episode_id"]
    episode = trajectory(results, "first", lambda t: t.outcome == "failure")
    page = seen.open(viewer + of("first", episode))
    expect(page.locator(".around")).to_contain_text(re.compile(r"\d+ of 13"))
    page.goto(viewer + of("first", episode, outcome="failure"))
    expect(page.locator(".around")).to_contain_text(f"of {len(failed)}")
    found = set()
    page.keyboard.press("k")
    page.keyboard.press("k")
    for _ in range(len(failed)):
        expect(page.locator(".ending")).to_contain_text("failure")
        found.add(re.search("id=([^&]*)", page.url)[1])  # type: ignore[index]
        before = page.url
        if not page.locator(".around a", has_text="Next").count():
            break
        page.keyboard.press("]")
        page.wait_for_url(lambda url, before=before: url != before)
        expect(page.locator(".around")).to_contain_text(f"{len(found) + 1} of")
    assert found == set(failed)
    seen.check(viewer)


def test_the_other_agents_on_the_seed_are_a_click_away(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.key.variant == "baseline" and t.key.seed == 1)
    page = seen.open(viewer + of("first", episode))
    page.locator(".others a", has_text="reasoning").click()
    expect(page.locator(".column")).to_have_count(2)
    seen.check(viewer)


def test_an_error_is_not_the_agents(seen: Seen, viewer: str, results: Path) -> None:
    episode = trajectory(results, "first", lambda t: t.outcome == "error")
    page = seen.open(viewer + of("first", episode))
    expect(page.locator(".troubles")).to_contain_text("This is not the agent's failure: a service failed")
    expect(page.locator(".ending")).to_contain_text("error")
    assert page.locator(".move.end").inner_text().strip().endswith("error")


def test_without_its_level_the_texts_are_there(seen: Seen, tmp_path: Path) -> None:
    folder = write_run(tmp_path, [play(expert, task="goto", seed=1)], "moved")
    steps = folder / "steps.jsonl"
    steps.write_text(steps.read_text().replace("a wall", "a hedge"), encoding="utf-8")
    episode = trajectory(tmp_path, "moved", bool)
    with served(tmp_path) as address:
        page = seen.open(address + of("moved", episode, step=2))
        at(page, 2)
        expect(page.locator(".troubles")).to_contain_text("can't be shown")
        expect(page.locator(".troubles")).to_contain_text("another observation")
        assert "a hedge" in body(page, "observation").inner_text() or episode.steps[1].observation == ""
        page.keyboard.press("End")
        at(page, "end")
        seen.check(address)


def test_what_a_model_wrote_is_text_and_cut_where_it_is_long(seen: Seen, odd_viewer: str, odd: Path) -> None:
    episode = trajectory(odd, "odd", lambda t: t.key.task == "goto")
    page = seen.open(odd_viewer + of("odd", episode))
    expect(body(page, "thought")).to_contain_text("<script>window.hacked = 1</script>")
    assert "\u202e" not in body(page, "thought").inner_text()
    page.keyboard.press("ArrowRight")
    expect(body(page, "answer")).to_contain_text("<img src=x onerror='window.hacked = 1'>")
    page.keyboard.press("ArrowRight")
    at(page, 3)
    length = "document.querySelector('.pane.thought .body').textContent.length"
    assert page.evaluate(length) < 10_000
    body(page, "thought").get_by_role("button", name="Show all 2,500,000 characters").click()
    page.wait_for_function(f"{length} >= 2_500_000")
    page.keyboard.press("ArrowLeft")
    at(page, 2)
    seen.check(odd_viewer)


def test_an_unfinished_episode_grows_on_screen(seen: Seen, tmp_path: Path) -> None:
    whole = play(expert, task="open", seed=1)
    folder = write_run(tmp_path, [type(whole)(whole.steps[:3], None)], "live", tasks=["open"])
    episode = trajectory(tmp_path, "live", bool)
    with served(tmp_path) as address:
        page = seen.open(address + of("live", episode))
        at(page, 1)
        page.keyboard.press("End")
        expect(page.locator(".at")).to_have_text(re.compile("^End, after 3 steps"))
        expect(page.locator(CURRENT)).to_contain_text("so far")
        with Journal(folder) as journal:
            for step in whole.steps[3:5]:
                journal.append(_of("live", step))
            expect(page.locator(".at")).to_have_text(re.compile("^End, after 5 steps"))
            page.keyboard.press("Home")
            for step in whole.steps[5:]:
                journal.append(_of("live", step))
            journal.append(_of("live", whole.record))
        expect(page.locator(".ending")).to_contain_text("success")
        at(page, 1)
        expect(page.locator(".move")).to_have_count(len(whole.steps) + 1)
        seen.check(address)


def test_news_that_comes_late_neither_loses_the_end_nor_goes_back(seen: Seen, tmp_path: Path) -> None:
    whole = play(expert, task="open", seed=1)
    folder = write_run(tmp_path, [type(whole)(whole.steps[:3], None)], "live", tasks=["open"])
    episode = trajectory(tmp_path, "live", bool)
    with served(tmp_path) as address, Journal(folder) as journal:
        page = seen.open(address + of("live", episode))
        at(page, 1)
        held: list[tuple[Any, Any]] = []  # requests for the episode, each with the answer it had then
        page.route(f"**/episodes/{episode.episode_id}", lambda route: held.append((route, route.fetch())))
        for number in (3, 4):
            journal.append(_of("live", whole.steps[number]))
            while not any(len(answer.json()["steps"]) == number + 1 for _, answer in held):
                page.wait_for_timeout(20)
            page.keyboard.press("End")
        for route, answer in reversed(held):
            route.fulfill(response=answer)
        expect(page.locator(".at")).to_have_text(re.compile("^End, after 5 steps"))
        page.wait_for_timeout(300)
        expect(page.locator(".at")).to_have_text(re.compile("^End, after 5 steps"))
        seen.check(address)


def _of(run: str, record: Any) -> Any:
    return type(record)(**{**vars(record), "run": run})


def test_an_export_shows_the_same_from_disk(seen: Seen, results: Path, tmp_path: Path) -> None:
    address = export(["first"], tmp_path / "out", results=results).as_uri()
    episode = trajectory(results, "first", lambda t: t.success is True and t.key.task == "open")
    page = seen.open(address + of("first", episode, step=2))
    at(page, 2)
    assert body(page, "observation").inner_text().split("\n") == episode.steps[1].observation.split("\n")
    page.wait_for_function("document.querySelector('.board.level canvas').width > 300")
    page.keyboard.press("]")
    expect(page.locator(".around")).to_contain_text(re.compile("of 13"))
    page.locator(".others a").first.click()
    expect(page.locator(".column")).to_have_count(2)
    page.keyboard.press("End")
    expect(page.locator(".abreast .at")).to_contain_text("End")
    seen.check(address.removesuffix("index.html"))
    page.goto(address + "#/play")
    expect(page.locator(".trouble")).to_contain_text("python -m babyai_kit view")


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_it_fits_every_screen(seen: Seen, viewer: str, results: Path, width: int, scheme: Any) -> None:
    episode = trajectory(results, "first", lambda t: any(not s.valid for s in t.steps))
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.page.emulate_media(color_scheme=scheme)
    page = seen.open(viewer + of("first", episode, step=13))
    at(page, 13)
    expect(page.locator(".around")).to_contain_text("of 13")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    places = page.evaluate(PLACES)
    for key in ("n", "ArrowRight", "End", "Home"):
        page.keyboard.press(key)
        assert page.evaluate(PLACES) == places  # nothing jumps
    seen.check(viewer)


@pytest.mark.parametrize("width", [1400, 400])
def test_axe_finds_nothing(seen: Seen, viewer: str, results: Path, width: int) -> None:
    episode = trajectory(results, "first", lambda t: any(not s.valid for s in t.steps))
    seen.page.set_viewport_size({"width": width, "height": 900})
    page = seen.open(viewer + of("first", episode, step=13))
    at(page, 13)
    expect(page.locator(".around")).to_contain_text("of 13")
    check_accessible(page, f"episode, {width} px")
    page.keyboard.press("End")
    at(page, "end")
    check_accessible(page, f"its end, {width} px")


PLACES = """[...document.querySelectorAll('.episode > *, .board, .pane, .moves, .timeline')]
  .map((e) => e.getBoundingClientRect()).map(({x, y, width, height}) => [x, y, width, height].join())"""
