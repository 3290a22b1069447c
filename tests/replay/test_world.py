"""The world of an episode: whatever is drawn from its data is what minigrid draws."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from babyai_kit.environment import ACTIONS, expert_actions, make_env
from babyai_kit.environment.levels import level_ids
from babyai_kit.environment.tasks import TASKS
from babyai_kit.replay import tiles
from babyai_kit.replay.world import WorldData, WorldRecorder, states
from tests.support.browser import NEEDS_CHROMIUM, Seen, pixels

ROOMS = "BabyAI-GoToObjMaze-v0"
STEPS = 60


@cache
def recorded(task: str, num_dists: int = 0) -> tuple[WorldData, list[tuple[np.ndarray, np.ndarray]]]:
    """A world after JSON, and the environment's pictures of its moments: level and view."""
    env, random = make_env(task, num_dists=num_dists), np.random.default_rng(3)
    recorder, pictures = WorldRecorder(), []
    env.reset(seed=1)
    expert = expert_actions(env)
    for _ in range(STEPS):
        recorder.add(env)
        size = tiles.TILE
        pictures.append((env.get_frame(highlight=True, tile_size=size), env.agent_view(size)))
        if not env.running:
            break
        chance = int(random.integers(len(ACTIONS) - 1))  # but for toggle, at which the expert may give up
        action = next(expert)
        env.step(chance if random.random() < 0.3 else action)
    return json.loads(json.dumps(recorder.data)), [
        (tiles.legible(level), tiles.legible(view)) for level, view in pictures
    ]


GAMES = [*((task, 4) for task in TASKS), (ROOMS, 0), ("BabyAI-KeyCorridor-v0", 0)]


@pytest.mark.parametrize(("task", "num_dists"), GAMES)
def test_level_and_view_are_what_minigrid_draws(task: str, num_dists: int) -> None:
    world, pictures = recorded(task, num_dists)
    for state, (level, view) in zip(states(world), pictures, strict=True):
        assert (tiles.picture(tiles.level_tiles(state), state.width) == level).all()
        assert (tiles.picture(tiles.view_tiles(state), 7) == view).all()


def test_doors_are_opened_and_objects_carried_in_what_is_compared() -> None:
    all_moments = [moment for game in GAMES for moment in recorded(*game)[0]["moments"]]
    codes = {code for moment in all_moments for _, code in moment["changes"]}
    assert any(code.startswith("door") and code.endswith("open") for code in codes)
    assert any(moment["carrying"] for moment in all_moments)
    in_doorway = [
        state
        for game in GAMES
        for state in states(recorded(*game)[0])
        if state.cells[state.at[1] * state.width + state.at[0]].endswith("open")
    ]
    assert in_doorway


def test_the_sheet_that_ships_is_minigrids() -> None:
    for name in np.random.default_rng(1).choice(tiles.NAMES, 40, replace=False):
        code, lit, direction = name.split("|")
        drawn = tiles.Grid.render_tile(
            tiles.OBJECTS[code] if code else None, int(direction) if direction else None, lit == "1"
        )
        assert (tiles.tile(name) == tiles.legible(drawn.astype(np.uint8))).all(), name


def test_the_sheet_has_whatever_a_level_holds() -> None:
    for level in level_ids():
        env = make_env(level)
        for seed in range(3):
            env.reset(seed=seed)
            codes = {tiles.code_of(cell) for cell in env.grid.grid}
            codes |= {tiles.code_of(cell.contains) for cell in env.grid.grid if cell is not None}
            assert codes <= {"", *tiles.OBJECTS}, level


def page_with_world(path: Any) -> Any:
    script = (tiles.SHEET.parent / "world.js").read_text()
    path.write_text(
        "<!doctype html><meta charset=utf-8><title>world</title>"
        f"<script>{tiles.tiles_js()}</script><script>{script}</script>"
        "<canvas id=level></canvas><canvas id=view></canvas>"
    )
    return path


@pytest.fixture
def drawn(seen: Seen, tmp_path: Any) -> Any:
    page = seen.open(page_with_world(tmp_path / "world.html"))
    yield page
    seen.check()


SHOW = """async ([world, n, options]) => {
  const sheet = await kit.world.load(), state = kit.world.at(world, n);
  kit.world.draw(document.getElementById("level"), sheet, state, options);
  kit.world.drawView(document.getElementById("view"), sheet, state, options);
  return kit.world.describe(state);
}"""


@NEEDS_CHROMIUM
@pytest.mark.parametrize(("task", "num_dists"), GAMES)
def test_a_browser_draws_the_same(drawn: Any, task: str, num_dists: int) -> None:
    world, pictures = recorded(task, num_dists)
    drawn.evaluate("data => { globalThis.world = data; }", world)
    order = np.random.default_rng(2).permutation(len(pictures))[:20]  # to and fro
    for n in (len(pictures) - 1, 0, *map(int, order)):
        drawn.evaluate(f"n => ({SHOW})([world, n, {{}}])", n)
        level, view = pictures[n]
        assert (pixels(drawn, "level") == level).all()
        assert (pixels(drawn, "view") == view).all()


@NEEDS_CHROMIUM
def test_states_are_the_same_to_and_fro(drawn: Any) -> None:
    world, _ = recorded(ROOMS)
    shown = drawn.evaluate(
        """world => [...world.moments.keys()].reverse().map((n) => {
          const { cells, at, dir, carrying, seen } = kit.world.at(world, n);
          return { cells, at, dir, carrying, seen };
        }).reverse()""",
        world,
    )
    expected = [
        {"cells": [*s.cells], "at": [*s.at], "dir": s.direction, "carrying": s.carrying, "seen": s.seen}
        for s in states(world)
    ]
    assert shown == expected


@NEEDS_CHROMIUM
def test_path_way_and_marks_are_drawn_over_the_level(drawn: Any) -> None:
    world, pictures = recorded("goto", 4)
    last = len(pictures) - 1
    path = drawn.evaluate("([world, n]) => kit.world.path(world, n)", [world, last])
    moves = [tuple(moment["at"]) for moment in world["moments"]]
    assert [tuple(cell) for cell in path] == [
        cell for i, cell in enumerate(moves) if i == 0 or cell != moves[i - 1]
    ]
    options = {"path": [[1, 1], [2, 1]], "way": [[1, 3], [2, 3]], "marks": [[5, 5]]}
    drawn.evaluate(SHOW, [world, last, options])
    changed = (pixels(drawn, "level") != pictures[last][0]).any(axis=2)
    cells = changed.reshape(8, 32, -1, 32).any(axis=(1, 3))
    assert {(int(x), int(y)) for y, x in np.argwhere(cells)} == {(1, 1), (2, 1), (1, 3), (2, 3), (5, 5)}
    drawn.evaluate(SHOW, [world, last, {"scale": 8}])
    assert pixels(drawn, "level").shape == (64, 64, 3)


@NEEDS_CHROMIUM
def test_a_state_is_told_in_words(drawn: Any) -> None:
    world = {
        "width": 4,
        "height": 3,
        "cells": ["wall"] * 5 + ["", "door red locked"] + ["wall"] * 5,
        "moments": [{"at": [1, 1], "dir": 0, "carrying": "key red", "changes": [], "seen": "0" * 49}],
    }
    seen = ["0"] * 49
    seen[5 * 7 + 3] = "1"
    world["moments"].append({**world["moments"][0], "carrying": None, "seen": "".join(seen)})
    told = [
        drawn.evaluate("([world, n]) => kit.world.describe(kit.world.at(world, n))", [world, n])
        for n in (0, 1)
    ]
    assert told == [
        "The level, 4 by 3 cells. The agent is in column 2, row 2, facing right, carrying a red key. "
        "In view: no object. Elsewhere: locked red door in column 3, row 2.",
        "The level, 4 by 3 cells. The agent is in column 2, row 2, facing right, carrying nothing. "
        "In view: locked red door in column 3, row 2. Elsewhere: no object.",
    ]
