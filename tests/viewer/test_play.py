"""A person plays: the text and the keys in a browser, the run that comes of it, and what breaks it off."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from babyai_kit import Run, compare, load_episodes, load_replay, write_report
from babyai_kit.agents.registry import find_agent
from babyai_kit.environment import ACTIONS, expert_actions
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError, JournalError
from babyai_kit.runs.journal import Journal
from babyai_kit.viewer.game import Choice, Game
from babyai_kit.viewer.game_view import game_data
from tests.support.journals import expert, play, write_run
from tests.support.project import CONFIG
from tests.viewer.accessibility import check_accessible
from tests.viewer.conftest import Seen, served

KEYS = {
    "turn left": "ArrowLeft",
    "go forward": "ArrowUp",
    "turn right": "ArrowRight",
    "pick up": "p",
    "drop": "d",
    "toggle": "t",
}


def expect(locator: Any) -> Any:
    from playwright import sync_api

    sync_api.expect.set_options(timeout=20_000)
    return sync_api.expect(locator)


def way(task: str, seed: int, taken: int = 0) -> Iterator[tuple[str, str]]:
    """(action, observation after it) of the expert, from step `taken` on."""
    playback = Playback(task, seed=seed)
    for number, action in enumerate(expert_actions(playback.env)):
        playback.step(ACTIONS[action])
        if number >= taken:
            yield ACTIONS[action], playback.observation


def finish(game: Game) -> None:
    """Play the present episode as the expert does."""
    present = game.present
    assert present is not None
    for action, _ in way(present.key.task, present.key.seed, len(present.steps)):
        game.act(action)


def choice(**others: Any) -> Choice:
    return Choice(**({"run": "human", "tasks": ("goto",), "seeds": (1, 2)} | others))


def begin(page: Any, tasks: tuple[str, ...] = ("goto",), seeds: str = "1:3") -> None:
    """Fill in the form and begin."""
    expect(page.get_by_role("button", name="Begin")).to_be_visible()
    for box in page.locator("fieldset").first.locator("input[type=checkbox]:visible").all():
        box.set_checked(box.input_value() in tasks)
    page.get_by_label("Seeds").fill(seeds)
    page.get_by_role("button", name="Begin").click()
    expect(page.locator(".sight")).to_be_visible()


def press(page: Any, task: str, seed: int, *, taken: int = 0, count: int | None = None) -> None:
    """Play by keys as the expert does, each after what the one before led to is on screen."""
    for number, (action, observation) in enumerate(way(task, seed, taken), start=taken + 1):
        if count is not None and number > count:
            return
        page.keyboard.press(KEYS[action])
        expect(page.locator(".past li")).to_have_count(number)
        shown = page.locator(".sight").inner_text()
        assert shown.split("\n") == (observation or "You see nothing.").split("\n")


def test_a_person_plays_to_success_by_keys(seen: Seen, tmp_path: Path) -> None:
    with served(tmp_path) as address:
        page = seen.open(address + "#/play")
        begin(page)
        assert page.locator("canvas:visible").count() == 0  # the text alone
        expect(page.locator(".muted").first).to_contain_text("goto, seed 1 · step 1 of at most 64 · 0 of 2")
        press(page, "goto", 1)
        expect(page.locator(".result")).to_contain_text("Success after")
        expect(page.locator(".result")).to_contain_text("the shortest way takes")
        page.keyboard.press("ArrowLeft")  # too late
        page.keyboard.press("Enter")
        expect(page.locator("header .muted")).to_contain_text("goto, seed 2 · step 1 of at most 64 · 1 of 2")
        for action, _ in way("goto", 2):
            page.get_by_role("button", name=action).click()
        page.locator(".result a").click()
        expect(page.locator(".ending")).to_contain_text("success")
        expect(page.locator(".about")).to_contain_text("Played by a person")
        seen.check(address)
    table = load_episodes("human", results=tmp_path)
    assert table["success"].all()
    assert set(table["variant"]) == set(table["model"]) == {"human"}
    assert list(table["calls"]) == [0, 0]
    assert table["input_tokens"].isna().all()
    assert (table["cost_usd"] == 0).all()
    assert (table["wall_s"] > 0).all()
    assert list(table["episode_length"]) == [len(list(way("goto", seed))) for seed in (1, 2)]


def test_what_a_person_did_is_told_as_a_persons(tmp_path: Path) -> None:
    game = Game(tmp_path, choice())
    finish(game)
    game.proceed()
    finish(game)
    game.close()
    write_run(tmp_path, [play(expert, task="goto", seed=seed) for seed in (1, 2)], "model")
    report = write_report("human", results=tmp_path, config=CONFIG, figures=("success_rate",))
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", "", report.page.read_text(encoding="utf-8")))
    assert "All episodes were played by a person." in words
    assert "offline player" not in words
    assert "python -m babyai_kit view" in words
    assert json.loads((tmp_path / "human" / "summary.json").read_text())["llm"] is False
    assert "Played by a person" in load_replay("human", results=tmp_path).html()
    both = pd.concat([load_episodes(run, results=tmp_path) for run in ("human", "model")])
    assert set(compare(both, "baseline")["variant"]) == {"human"}


def test_nobody_sees_more_than_an_agent(tmp_path: Path) -> None:
    game = Game(tmp_path, choice(picture=True))
    data = game_data(game)
    episode = data["episode"]
    assert episode["ended"] is None
    assert set(episode) & {"shortest", "world", "way"} == set()
    view = episode["view"]
    assert len(view["cells"]) == len(view["seen"]) == 49
    assert [
        cell for cell, sign in zip(view["cells"], view["seen"], strict=True) if sign == "0" and cell
    ] == []
    finish(game)
    assert game_data(game)["episode"]["ended"]["shortest"] > 0
    game.close()
    other = Game(tmp_path, choice())
    assert game_data(other)["episode"]["view"] is None
    assert game_data(other)["finished"] == 0  # with the picture, another agent played
    other.close()
    agents = {key.variant for key in Run.open("human", results=tmp_path).planned()}
    assert agents == {"human", "human:picture=true"}


def test_the_picture_is_shown_if_it_was_chosen(seen: Seen, tmp_path: Path) -> None:
    with served(tmp_path) as address:
        page = seen.open(address + "#/play")
        page.get_by_label("as a picture").check()
        begin(page)
        page.wait_for_function("document.querySelector('.game canvas').width > 100")
        before = page.locator(".game canvas").evaluate("c => c.toDataURL()")
        press(page, "goto", 1, count=1)
        page.wait_for_function("b => document.querySelector('.game canvas').toDataURL() !== b", arg=before)
        seen.check(address)


def test_killed_in_the_middle_it_goes_on_where_it_was(seen: Seen, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "babyai_kit", "view", "--results", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer:
        assert viewer.stdout is not None
        address = next(found[0] for line in viewer.stdout if (found := re.search(r"http://\S+/", line)))
        page = seen.open(address + "#/play")
        begin(page, seeds="3")
        press(page, "goto", 3, count=2)
        viewer.send_signal(signal.SIGKILL)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".result")).to_contain_text("does not answer any more")
    (episode,) = Run.open("human", results=tmp_path).trajectories()
    assert (episode.outcome, len(episode.steps)) == ("unfinished", 2)
    with served(tmp_path) as address:
        page.goto(address + "#/play")
        begin(page, seeds="3")
        expect(page.locator(".past li")).to_have_count(2)
        press(page, "goto", 3, taken=2)
        expect(page.locator(".result")).to_contain_text("Success after")
    (after,) = Run.open("human", results=tmp_path).trajectories()
    assert after.episode_id == episode.episode_id
    assert after.steps[:2] == episode.steps
    assert after.success


def test_killed_between_the_last_step_and_the_row_the_row_is_written(tmp_path: Path) -> None:
    game = Game(tmp_path, choice(seeds=(1,)))
    finish(game)
    game.close()
    (tmp_path / "human" / "episodes.jsonl").write_text("")
    Game(tmp_path, choice(seeds=(1,))).close()
    assert load_episodes("human", results=tmp_path)["success"].all()


def test_what_does_not_replay_any_more_is_played_anew(tmp_path: Path) -> None:
    game = Game(tmp_path, choice())
    game.act("turn left")
    game.close()
    steps = tmp_path / "human" / "steps.jsonl"
    steps.write_text(steps.read_text().replace('"observation": "', '"observation": "a hedge, '))
    again = Game(tmp_path, choice())
    assert again.present is not None
    assert again.present.steps == []
    finish(again)
    again.close()
    assert len(load_episodes("human", results=tmp_path)) == 1


def test_seconds_are_those_between_sight_and_action(tmp_path: Path) -> None:
    times = iter([10.0, 12.5, 13.0])
    game = Game(tmp_path, choice(), clock=lambda: next(times))
    game.act("turn left")
    game.act("turn left")
    game.close()
    (episode,) = Run.open("human", results=tmp_path).trajectories()
    assert [step.call_s for step in episode.steps] == [2.5, 0.5]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tasks": ("gotoo",)}, "did you mean 'goto'"),
        ({"tasks": ()}, "tasks is empty"),
        ({"seeds": ()}, "seeds is empty"),
        ({"run": "../x"}, "is not valid"),
        ({"num_dists": -1}, "num_dists -1 is not valid"),
    ],
)
def test_an_impossible_choice_is_refused_and_leaves_nothing(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Game(tmp_path, choice(**wrong))
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_models_is_not_a_persons(tmp_path: Path) -> None:
    write_run(tmp_path, [play(expert, task="goto", seed=1)], "human")
    with pytest.raises(InputError, match="has episodes of models; choose another name"):
        Game(tmp_path, choice())


def test_one_process_at_a_time_plays_a_run(seen: Seen, tmp_path: Path) -> None:
    write_run(tmp_path, [play(expert, task="goto", seed=1)], "model")
    with Journal(tmp_path / "human"):
        with pytest.raises(JournalError, match="in use by another process"):
            Game(tmp_path, choice())
        with served(tmp_path) as address:
            page = seen.open(address + "#/play")
            page.get_by_role("button", name="Begin").click()
            expect(page.locator(".setup .trouble")).to_contain_text("is in use by another process")
            page.get_by_label("Run").fill("model")
            page.get_by_role("button", name="Begin").click()
            expect(page.locator(".setup .trouble")).to_contain_text("has episodes of models")
            page.get_by_label("Seeds").fill("5:1")
            page.get_by_role("button", name="Begin").click()
            expect(page.locator(".setup .trouble")).to_contain_text("is not a valid seed range; use 200:205")


def test_a_game_may_be_left_by_another_thread(tmp_path: Path) -> None:
    for _ in range(3):
        game = Game(tmp_path, choice())
        game.act("turn left")
        thread = threading.Thread(target=game.close)
        thread.start()
        thread.join()
    with Journal(tmp_path / "human"):
        pass


def test_human_is_no_agent_of_a_run() -> None:
    with pytest.raises(InputError, match="python -m babyai_kit view"):
        find_agent("human")


def test_leaving_the_page_lets_others_play(seen: Seen, tmp_path: Path) -> None:
    with served(tmp_path) as address:
        page = seen.open(address + "#/play")
        begin(page)
        with page.expect_response(re.compile("/api/play/stop")):
            page.keyboard.press("g")
        with Journal(tmp_path / "human"):
            pass


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_it_fits_every_screen(seen: Seen, tmp_path: Path, width: int, scheme: Any) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.page.emulate_media(color_scheme=scheme)
    with served(tmp_path) as address:
        page = seen.open(address + "#/play")
        expect(page.get_by_role("button", name="Begin")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_label("as a picture").check()
        begin(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        seen.check(address)


@pytest.mark.parametrize("width", [1400, 400])
def test_axe_finds_nothing(seen: Seen, tmp_path: Path, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    with served(tmp_path) as address:
        page = seen.open(address + "#/play")
        expect(page.get_by_role("button", name="Begin")).to_be_visible()
        page.get_by_text("Levels of more rooms").click()
        check_accessible(page, f"the form, {width} px")
        begin(page, seeds="3")
        press(page, "goto", 3, count=1)
        check_accessible(page, f"a game, {width} px")
        press(page, "goto", 3, taken=1)
        expect(page.locator(".result")).to_contain_text("Success after")
        check_accessible(page, f"its end, {width} px")
