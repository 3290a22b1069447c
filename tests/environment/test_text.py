"""The text of single views, and the light in them, against minigrid's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Door, Key, Wall, WorldObj

from babyai_kit.environment.text import describe, light, view_from


def room(width: int = 8, height: int = 8) -> Grid:
    grid = Grid(width, height)
    grid.wall_rect(0, 0, width, height)
    return grid


def text_lines(grid: Grid, x: int, y: int, direction: int, carrying: WorldObj | None = None) -> list[str]:
    return describe(grid.grid, view_from(grid.width, grid.height, x, y, direction), carrying).split("\n")


def test_walls_ahead_and_beside() -> None:
    assert text_lines(room(), 1, 1, 0) == ["a wall 6 steps forward", "a wall 1 step left"]
    assert text_lines(room(), 6, 6, 0) == ["a wall 1 step forward", "a wall 1 step right"]
    assert text_lines(room(20, 20), 10, 10, 3) == [""]


def test_objects_from_left_to_right_and_far_to_near() -> None:
    grid = room()
    grid.set(3, 2, Key("red"))
    grid.set(3, 4, Ball("blue"))
    grid.set(4, 5, Box("grey"))
    grid.set(5, 6, Ball("green"))
    assert text_lines(grid, 4, 6, 3, Key("yellow")) == [
        "You carry a yellow key",
        "a red key 1 step left and 4 steps forward",
        "a blue ball 1 step left and 2 steps forward",
        "a grey box 1 step forward",
        "a green ball 1 step right",
    ]


@pytest.mark.parametrize(
    ("door", "name"),
    [
        (Door("red", is_open=True), "a open red door"),
        (Door("red"), "a closed red door"),
        (Door("red", is_locked=True), "a locked red door"),
    ],
)
def test_states_of_doors(door: Door, name: str) -> None:
    grid = room(15, 8)
    grid.vert_wall(7, 0)
    grid.set(7, 3, door)
    grid.set(9, 3, Ball("blue"))
    ball = ["a blue ball 3 steps forward"] if door.is_open else []
    assert text_lines(grid, 6, 3, 0) == ["a wall 3 steps left", *ball, f"{name} 1 step forward"]


def test_standing_in_a_door_it_is_not_told() -> None:
    grid = room(15, 8)
    grid.vert_wall(7, 0)
    grid.set(7, 3, Door("red", is_open=True))
    grid.set(9, 3, Ball("blue"))
    beside = ["a wall 1 step left", "a wall 1 step right"]
    assert text_lines(grid, 7, 3, 0) == [*beside, "a blue ball 2 steps forward"]


def test_the_locked_door_hides_from_no_place_in_its_room() -> None:
    """Why the five tasks need no light: all 2 rooms x 6 doors x 36 cells x 4 directions."""
    for door_y in range(1, 7):
        grid = room(15, 8)
        grid.vert_wall(7, 0)
        grid.set(7, door_y, Door("blue", is_locked=True))
        for x in [*range(1, 7), *range(8, 14)]:
            for y in range(1, 7):
                for direction in range(4):
                    view = view_from(15, 8, x, y, direction)
                    assert describe(grid.grid, view, None) == describe(
                        grid.grid, view, None, see_through=True
                    )


@settings(max_examples=300)
@given(st.lists(st.sampled_from("....WDOb"), min_size=49, max_size=49))
def test_light_is_minigrids(plan: list[str]) -> None:
    cell_of = {"W": Wall(), "D": Door("red"), "O": Door("red", is_open=True), "b": Ball("red"), ".": None}
    area = [cell_of[square] for square in plan]
    grid = Grid(7, 7)
    grid.grid = list(area)
    expected = grid.process_vis(agent_pos=(3, 6))
    assert np.array_equal(np.array(light(area)).reshape(7, 7).T, expected)
