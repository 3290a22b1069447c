"""The text told a second time, from minigrid's own view: the oracle of the tests.

Slices, rotates and lights the grid as minigrid does and shares no code with the package.
"""

from __future__ import annotations

from typing import Any


def steps(n: int) -> str:
    return f"{n} step{'' if n == 1 else 's'}"


def tell(env: Any) -> str:
    """What the present state of `env` must read like."""
    view, mask = env.gen_obs_grid()
    lines = []
    if env.carrying:
        lines.append(f"You carry a {env.carrying.color} {env.carrying.type}")
    for side, squares in (
        ("forward", [(3, 5 - n) for n in range(6)]),
        ("left", [(2 - n, 6) for n in range(3)]),
        ("right", [(4 + n, 6) for n in range(3)]),
    ):
        for n, square in enumerate(squares, start=1):
            seen = view.get(*square) if mask[square] else None
            if seen is not None:
                if seen.type == "wall":
                    lines.append(f"a wall {steps(n)} {side}")
                break
    for column in range(7):
        for row in range(7):
            obj = view.get(column, row)
            if (column, row) == (3, 6) or obj is None or obj.type == "wall" or not mask[column, row]:
                continue
            words = ["a"]
            if obj.type == "door":
                words.append("open" if obj.is_open else "locked" if obj.is_locked else "closed")
            places = []
            if column != 3:
                places.append(f"{steps(abs(column - 3))} {'left' if column < 3 else 'right'}")
            if row != 6:
                places.append(f"{steps(6 - row)} forward")
            lines.append(" ".join([*words, obj.color, obj.type, " and ".join(places)]))
    return "\n".join(lines)
