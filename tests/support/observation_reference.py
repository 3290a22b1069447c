"""The text written a second time, from minigrid's own view: the oracle of the tests.

Slices, rotates and lights the grid as minigrid does and shares no code with the package.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Sight(NamedTuple):
    """What a state shows."""

    carried: tuple[str, str] | None
    """Colour and kind."""
    walls: list[tuple[str, int]]
    """Side and distance in steps."""
    objects: list[tuple[str, str, str, int, int]]
    """State of a door or "", colour, kind, steps to the right, steps forward."""


def look(env: Any) -> Sight:
    """What the present state of `env` shows, in the order of the text."""
    view, mask = env.gen_obs_grid()
    walls, objects = [], []
    for side, squares in (
        ("forward", [(3, 5 - n) for n in range(6)]),
        ("left", [(2 - n, 6) for n in range(3)]),
        ("right", [(4 + n, 6) for n in range(3)]),
    ):
        for n, square in enumerate(squares, start=1):
            cell = view.get(*square) if mask[square] else None
            if cell is not None:
                if cell.type == "wall":
                    walls.append((side, n))
                break
    for column in range(7):
        for row in range(7):
            obj = view.get(column, row)
            if (column, row) == (3, 6) or obj is None or obj.type == "wall" or not mask[column, row]:
                continue
            state = ""
            if obj.type == "door":
                state = "open" if obj.is_open else "locked" if obj.is_locked else "closed"
            objects.append((state, obj.color, obj.type, column - 3, 6 - row))
    return Sight(env.carrying and (env.carrying.color, env.carrying.type), walls, objects)


def steps(n: int) -> str:
    return f"{n} step{'' if n == 1 else 's'}"


def tell(env: Any) -> str:
    """What the present state of `env` must read like."""
    carried, walls, objects = look(env)
    lines = [f"You carry a {carried[0]} {carried[1]}"] if carried else []
    lines += [f"a wall {steps(n)} {side}" for side, n in walls]
    for state, colour, kind, right, forward in objects:
        places = []
        if right:
            places.append(f"{steps(abs(right))} {'left' if right < 0 else 'right'}")
        if forward:
            places.append(f"{steps(forward)} forward")
        words = ["a", state, colour, kind, " and ".join(places)]
        lines.append(" ".join(filter(None, words)))
    return "\n".join(lines)
