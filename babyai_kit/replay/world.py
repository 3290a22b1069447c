"""The world of an episode in small changes: what lies in each cell, where the agent stands, what it sees.

A cell is y * width + x. What it holds is a short code: "" for nothing, "wall", "key red", "door blue locked".
The form is JSON's, so that a page draws from the same data as Python does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minigrid.core.world_object import Door, WorldObj

from babyai_kit.environment.text import STEP, VIEW_AHEAD, VIEW_ASIDE, VIEW_SIZE, light, view_from
from babyai_kit.environment.text_env import TextEnv

WorldData = dict[str, Any]
"""{width, height, cells, moments}. `cells`: codes at the start. `moments`: one before each step and one at
the end, {at: [x, y], dir, carrying: code or None, changes: [[cell, code], ...] against the moment before,
seen: for each of the 49 squares of the agent's view, row by row from the farthest, a "1" if it is visible,
else "0"}."""


@dataclass(frozen=True)
class State:
    """The world at a moment."""

    width: int
    height: int
    cells: tuple[str, ...]
    at: tuple[int, int]
    direction: int
    carrying: str | None
    seen: str
    """As in WorldData."""

    def square(self, number: int) -> int | None:
        """The cell under a square of the agent's view; None outside the grid."""
        row, column = divmod(number, VIEW_SIZE)
        ahead, right = VIEW_AHEAD - row, column - VIEW_ASIDE
        dx, dy = STEP[self.direction]
        x, y = self.at[0] + dx * ahead - dy * right, self.at[1] + dy * ahead + dx * right
        return y * self.width + x if 0 <= x < self.width and 0 <= y < self.height else None


class WorldRecorder:
    """Takes down the states of an environment, one after the other."""

    def __init__(self) -> None:
        self._data: WorldData | None = None
        self._cells: list[WorldObj | None] = []
        self._doors: dict[int, str] = {}

    def add(self, env: TextEnv) -> None:
        """The present state."""
        cells, (x, y) = env.grid.grid, env.agent_pos
        if self._data is None:
            width, height = env.grid.width, env.grid.height
            self._data = {"width": width, "height": height, "cells": list(map(code_of, cells)), "moments": []}
            self._cells = list(cells)
            self._doors = {i: code_of(cell) for i, cell in enumerate(cells) if isinstance(cell, Door)}
        pairs = enumerate(zip(self._cells, cells, strict=True))
        changes = [[i, code_of(after)] for i, (before, after) in pairs if before is not after]
        self._cells = list(cells)
        # Of an object itself nothing changes but a door's state.
        for i, before in self._doors.items():
            if (now := code_of(cells[i])) != before:
                changes.append([i, now])
                self._doors[i] = now
        view = view_from(env.grid.width, env.grid.height, x, y, env.agent_dir)
        self._data["moments"].append(
            {
                "at": [x, y],
                "dir": env.agent_dir,
                "carrying": env.carrying and code_of(env.carrying),
                "changes": changes,
                "seen": "".join(map("01".__getitem__, light(view.area(cells)))),
            }
        )

    @property
    def data(self) -> WorldData | None:
        """What was taken down; None if that is nothing."""
        return self._data


def states(world: WorldData) -> Iterator[State]:
    """The states of a recorded world, in order."""
    cells = list(world["cells"])
    for moment in world["moments"]:
        for cell, code in moment["changes"]:
            cells[cell] = code
        x, y = moment["at"]
        yield State(
            width=world["width"],
            height=world["height"],
            cells=tuple(cells),
            at=(x, y),
            direction=moment["dir"],
            carrying=moment["carrying"],
            seen=moment["seen"],
        )


def code_of(cell: WorldObj | None) -> str:
    """What a cell of minigrid holds."""
    if cell is None:
        return ""
    if isinstance(cell, Door):
        state = "open" if cell.is_open else "locked" if cell.is_locked else "closed"
        return f"door {cell.color} {state}"
    return "wall" if cell.type == "wall" else f"{cell.type} {cell.color}"
