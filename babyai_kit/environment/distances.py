"""How many steps the agent needs to face a cell of an empty room.

These are lower bounds for a room with objects in it; the search in `shortest` is guided by them.

A cell is y * width + x. A pose is 4 * cell + direction, with directions as in `text.STEP`.
"""

from __future__ import annotations

from functools import lru_cache

from babyai_kit.environment.tasks import ROOM_SIZE
from babyai_kit.environment.text import STEP

FAR = 10**6
"""More steps than any path has: there is none."""


@lru_cache
def room_cells(width: int, left: int) -> frozenset[int]:
    """Cells inside the room whose left wall is column `left`."""
    return frozenset(y * width + left + x for x in range(1, ROOM_SIZE - 1) for y in range(1, ROOM_SIZE - 1))


@lru_cache
def deltas(width: int) -> tuple[int, ...]:
    """What a step in each direction adds to a cell."""
    return tuple(dy * width + dx for dx, dy in STEP)


@lru_cache(maxsize=1024)
def steps_to_face(width: int, left: int, target: int) -> list[int]:
    """Per pose the least number of turns and moves until `target` is in front; FAR outside the room."""
    room, step = room_cells(width, left), deltas(width)
    steps = [FAR] * (4 * width * ROOM_SIZE)
    ring = [4 * cell + d for cell in room for d in range(4) if cell + step[d] == target]
    distance = 0
    while ring:
        before = []
        for pose in ring:
            if steps[pose] == FAR:
                steps[pose] = distance
                cell, d = divmod(pose, 4)
                before += [4 * cell + (d + 1) % 4, 4 * cell + (d + 3) % 4]
                if cell - step[d] in room:
                    before.append(4 * (cell - step[d]) + d)
        ring, distance = before, distance + 1
    return steps


@lru_cache(maxsize=8192)
def steps_between(width: int, left: int, first: int, second: int) -> int:
    """The least number of turns and moves from facing `first` to facing `second`."""
    step, steps = deltas(width), steps_to_face(width, left, second)
    room = room_cells(width, left)
    return min(steps[4 * cell + d] for cell in room for d in range(4) if cell + step[d] == first)
