"""A level being drawn: cells, objects and the agent, and how they are placed.

Every draw is a scalar `integers(low, high)`: a vector draw would take other bits from the stream. Draws from
a range of one take none and are left out. Positions are (x, y) in cells, (0, 0) top left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Key, WorldObj
from minigrid.envs.babyai.core.verifier import Instr

from babyai_kit.environment.tasks import ROOM_SIZE
from babyai_kit.environment.text import STEP

COLORS = ("blue", "green", "grey", "purple", "red", "yellow")
KINDS: tuple[Callable[[str], WorldObj], ...] = (Key, Ball, Box)
MAX_TRIES = 1001

Draw = Callable[[int, int], int]
"""draw(low, high): an int in [low, high)."""

T = TypeVar("T")


class CannotPlace(Exception):
    """No free cell in MAX_TRIES tries: the level is drawn again."""


def pick(options: Sequence[T], draw: Draw) -> T:
    """One of `options`."""
    return options[draw(0, len(options))] if len(options) > 1 else options[0]


def alike(a: WorldObj, b: WorldObj) -> bool:
    """Whether both have the same description."""
    return a.type == b.type and a.color == b.color


def position(obj: WorldObj) -> tuple[int, int]:
    """The cell of a placed object."""
    assert obj.cur_pos is not None
    return obj.cur_pos


@dataclass
class Layout:
    """A level of rooms side by side. `left` names a room by the column of its left wall."""

    width: int
    agent: tuple[int, int]
    direction: int = 0
    cells: list[WorldObj | None] = field(init=False)
    objects: list[WorldObj] = field(default_factory=list)
    """Everything but walls, in the order of placement."""
    mission: str = ""
    instruction: Instr | None = None

    def __post_init__(self) -> None:
        self.cells = list(_walls(self.width))

    def put(self, obj: WorldObj, cell: tuple[int, int]) -> None:
        x, y = cell
        self.cells[y * self.width + x] = obj
        obj.init_pos = obj.cur_pos = cell
        self.objects.append(obj)

    def put_distractors(self, count: int, left: int, draw: Draw) -> None:
        """Objects of random colour and kind, not beside the agent; some may be alike."""
        for _ in range(count):
            color = COLORS[draw(0, len(COLORS))]
            obj = KINDS[draw(0, len(KINDS))](color)
            self.put(obj, self.free_cell(left, draw, distance=2))

    def put_agent(self, left: int, draw: Draw) -> None:
        """Place the agent, facing no object or door; cell and direction are drawn again until that holds."""
        while True:
            self.agent = (-1, -1)
            x, y = self.agent = self.free_cell(left, draw, distance=1)
            self.direction = draw(0, 4)
            dx, dy = STEP[self.direction]
            front = self.cells[(y + dy) * self.width + x + dx]
            if front is None or front.type == "wall":
                return

    def free_cell(self, left: int, draw: Draw, *, distance: int) -> tuple[int, int]:
        """An empty cell at least `distance` steps from the agent; walls are drawn too, and rejected."""
        cells, width = self.cells, self.width
        agent_x, agent_y = self.agent
        for _ in range(MAX_TRIES):
            x, y = draw(left, left + ROOM_SIZE), draw(0, ROOM_SIZE)
            if cells[y * width + x] is None and abs(x - agent_x) + abs(y - agent_y) >= distance:
                return x, y
        raise CannotPlace

    def name(self, kind: str, color: str | None) -> str:
        """A noun phrase: with "a" where more than one object matches, else with "the"."""
        matches = sum(obj.type == kind and color in (None, obj.color) for obj in self.objects)
        return f"{'a' if matches > 1 else 'the'} {color + ' ' if color else ''}{kind}"

    def reachable(self) -> bool:
        """Whether the agent can reach every object without moving one; doors count as passable."""
        cells, width = self.cells, self.width
        seen = {self.agent[1] * width + self.agent[0]}
        stack = list(seen)
        while stack:
            index = stack.pop()
            cell = cells[index]
            if cell is None or cell.type == "door":
                new = {index + 1, index - 1, index + width, index - width} - seen
                seen |= new
                stack += new
        return all(x + y * width in seen for x, y in map(position, self.objects))


@lru_cache
def _walls(width: int) -> tuple[WorldObj | None, ...]:
    """Cells of empty rooms. All episodes share the walls: nothing ever changes a wall."""
    grid = Grid(width, ROOM_SIZE)
    for left in range(0, width - 1, ROOM_SIZE - 1):
        grid.wall_rect(left, 0, ROOM_SIZE, ROOM_SIZE)
    return tuple(grid.grid)
