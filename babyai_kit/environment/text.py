"""The agent's view in words: its geometry, how light spreads in it, and the wording.

Reads the cells of a minigrid `Grid` in place, without slicing, rotating or rendering it. `reading` is the
inverse.

The view is 7 x 7. Column c runs from the agent's left to its right, row r from far to near, and the
agent stands in column 3 of row 6. A view's square number is 7 r + c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from minigrid.core.world_object import Door, WorldObj

Cells = Sequence["WorldObj | None"]
"""A grid's cells row by row, as in `minigrid.core.grid.Grid.grid`: cell (x, y) at y * width + x."""

VIEW_SIZE = 7
VIEW_AHEAD, VIEW_ASIDE = VIEW_SIZE - 1, VIEW_SIZE // 2
"""How far the agent sees forward and to each side, in steps; its own square has these as row and column."""
STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""(dx, dy) of a step in direction 0 right, 1 down, 2 left, 3 up; y grows downwards."""


class FieldOfView(NamedTuple):
    """What a pose sees of a grid of one size, as indices into its cells."""

    rays: tuple[tuple[tuple[int, str], ...], ...]
    """Forward, left, right: (cell, line of the text if the ray ends there at a wall), from near to far."""
    cells: Callable[[Cells], tuple[WorldObj | None, ...]]
    """Picks the cells inside the grid except the agent's own, in the order of the text."""
    positions: tuple[str, ...]
    """Where each of those lies: "1 step left and 2 steps forward"."""
    squares: tuple[int, ...]
    """The view's square of each of those."""
    area: Callable[[Cells], tuple[WorldObj | None, ...]]
    """Picks all 49 squares; those outside the grid read as wall."""


@lru_cache(maxsize=4096)
def view_from(width: int, height: int, x: int, y: int, direction: int) -> FieldOfView:
    """The view of an agent at (x, y) looking in `direction` (0..3) in a `width` x `height` grid.

    The grid must be walled in, as every BabyAI level is, and the agent inside.
    """
    dx, dy = STEP[direction]

    def cell(column: int, row: int) -> int | None:
        ahead, right = VIEW_AHEAD - row, column - VIEW_ASIDE
        i, j = x + dx * ahead - dy * right, y + dy * ahead + dx * right
        return j * width + i if 0 <= i < width and 0 <= j < height else None

    def ray(squares: list[tuple[int, int]], side: str) -> tuple[tuple[int, str], ...]:
        indices = [cell(*square) for square in squares]
        # Nothing is lost beyond the grid: the outer wall has ended the ray before.
        return tuple((i, wall_line(side, n)) for n, i in enumerate(indices, start=1) if i is not None)

    visible = [
        (index, relative_position(column - VIEW_ASIDE, VIEW_AHEAD - row), row * VIEW_SIZE + column)
        for column in range(VIEW_SIZE)
        for row in range(VIEW_SIZE)
        if (column, row) != (VIEW_ASIDE, VIEW_AHEAD) and (index := cell(column, row)) is not None
    ]
    cells, positions, squares = zip(*visible, strict=True)
    # The bottom right cell is always a wall: it stands for every cell outside.
    area = [
        -1 if (index := cell(column, row)) is None else index
        for row in range(VIEW_SIZE)
        for column in range(VIEW_SIZE)
    ]
    return FieldOfView(
        rays=(
            ray([(VIEW_ASIDE, row) for row in range(VIEW_AHEAD - 1, -1, -1)], "forward"),
            ray([(column, VIEW_AHEAD) for column in range(VIEW_ASIDE - 1, -1, -1)], "left"),
            ray([(column, VIEW_AHEAD) for column in range(VIEW_ASIDE + 1, VIEW_SIZE)], "right"),
        ),
        cells=itemgetter(*cells),
        positions=positions,
        squares=squares,
        area=itemgetter(*area),
    )


def describe(cells: Cells, view: FieldOfView, carrying: WorldObj | None, *, see_through: bool = False) -> str:
    """The text of `view`: what is carried, the walls straight ahead and beside, objects and doors.

    `see_through=True` skips the search for what walls and closed doors hide. That is right where
    everything but walls is in the agent's own convex room, which holds for the five tasks up to and
    including the last step.
    """
    lines = [] if carrying is None else [carried_line(carrying.color, carrying.type)]
    # A ray needs no light: along a straight line everything is lit up to the first opaque cell.
    for ray in view.rays:
        for index, line in ray:
            cell = cells[index]
            if cell is not None:
                if cell.type == "wall":
                    lines.append(line)
                break
    lit = None if see_through else light(view.area(cells))
    for cell, where, square in zip(view.cells(cells), view.positions, view.squares, strict=True):
        if cell is not None and cell.type != "wall" and (lit is None or lit[square]):
            lines.append(object_line(_state(cell), cell.color, cell.type, where))
    return "\n".join(lines)


def light(area: Sequence[WorldObj | None]) -> list[bool]:
    """Which of the 49 squares are visible, by number.

    Light starts at the agent and spreads row by row, in each row first to the right, then to the left.
    Order and ranges are minigrid's (`Grid.process_vis`), and the picture shows the same mask.
    """
    lit = [False] * (VIEW_SIZE * VIEW_SIZE)
    lit[VIEW_AHEAD * VIEW_SIZE + VIEW_ASIDE] = True
    for row in range(VIEW_AHEAD, -1, -1):
        first = row * VIEW_SIZE
        for sideways, squares in (
            (1, range(first, first + VIEW_SIZE - 1)),
            (-1, range(first + VIEW_SIZE - 1, first, -1)),
        ):
            for square in squares:
                cell = area[square]
                if lit[square] and (cell is None or cell.see_behind()):
                    lit[square + sideways] = True
                    if row > 0:
                        lit[square + sideways - VIEW_SIZE] = True
                        lit[square - VIEW_SIZE] = True
    return lit


def carried_line(colour: str, kind: str) -> str:
    """The line for what the agent carries."""
    return f"You carry a {colour} {kind}"


def wall_line(side: str, distance: int) -> str:
    """The line for the wall at the end of a ray; `side` is "forward", "left" or "right"."""
    return f"a wall {_steps(distance)} {side}"


def object_line(state: str, colour: str, kind: str, where: str) -> str:
    """The line for an object or, with a `state`, for a door."""
    return f"a {state} {colour} {kind} {where}" if state else f"a {colour} {kind} {where}"


def relative_position(right: int, forward: int) -> str:
    """Where something lies, in steps from the agent: "1 step left and 2 steps forward"."""
    parts = []
    if right:
        parts.append(f"{_steps(abs(right))} {'left' if right < 0 else 'right'}")
    if forward:
        parts.append(f"{_steps(forward)} forward")
    return " and ".join(parts)


def _steps(n: int) -> str:
    return f"{n} step" if n == 1 else f"{n} steps"


def _state(cell: WorldObj) -> str:
    if not isinstance(cell, Door):
        return ""
    if cell.is_open:
        return "open"
    return "locked" if cell.is_locked else "closed"
