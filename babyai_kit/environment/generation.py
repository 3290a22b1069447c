"""Level generation of the five tasks, draw for draw as BALROG's levels do it.

Which numbers are drawn from the generator, in which order, and the mission that follows from them. How
objects are placed is in `layout`.
"""

from __future__ import annotations

import numpy as np
from minigrid.core.world_object import Door, Key, WorldObj
from minigrid.envs.babyai.core.verifier import AfterInstr, BeforeInstr

from babyai_kit.environment.instructions import GoTo, ObjDesc, Open, PickUp, PutNext
from babyai_kit.environment.layout import CannotPlace, Draw, Layout, alike, pick, position
from babyai_kit.environment.tasks import ROOM_SIZE, Task

DOOR_COLORS = ("yellow", "green", "blue", "purple")
HELD_OUT = ("yellow box", "red key", "red door", "green ball", "grey door")
"""No mission contains these; objects like them may lie in the room."""

DOOR_WALL = ROOM_SIZE - 1
"""Column of the wall between the two rooms of `open`."""


def generate(task: Task, num_dists: int, rng: np.random.Generator) -> Layout:
    """Draw a level of `task` with `num_dists` more objects than it needs."""
    draw = _drawing(rng)
    attempt = _draw_open if task.name == "open" else _draw_room
    while True:
        if task.name == "open":
            draw(1, ROOM_SIZE - 1)  # BALROG builds its rooms once more than it uses them.
        try:
            layout = attempt(task, num_dists, draw)
            while layout is None:
                layout = attempt(task, num_dists, draw)
        except CannotPlace:
            continue
        if task.name != "putnext" or _apart(layout):
            return layout


def _drawing(rng: np.random.Generator) -> Draw:
    integers = rng.integers

    def draw(low: int, high: int) -> int:
        return int(integers(low, high))

    return draw


def _draw_room(task: Task, num_dists: int, draw: Draw) -> Layout | None:
    """One try at a task of one room; None if the level is rejected."""
    layout = Layout(task.width, agent=(-1, -1))
    layout.put_agent(0, draw)
    layout.put_distractors(task.objects + num_dists, 0, draw)
    objects = layout.objects
    first = pick(objects, draw)
    second = first
    if task.objects == 2:
        twins = sum(alike(first, obj) for obj in objects)
        second = pick(objects, draw)
        while twins < 2 and alike(first, second):
            second = pick(objects, draw)
    _set_mission(layout, task, first, second, draw)
    return layout if _usable(layout) else None


def _set_mission(layout: Layout, task: Task, first: WorldObj, second: WorldObj, draw: Draw) -> None:
    """Set the mission of a task of one room about `first` and, where it needs two objects, `second`."""
    a, b = (ObjDesc(obj.type, obj.color) for obj in (first, second))
    name_a, name_b = (layout.name(obj.type, obj.color) for obj in (first, second))
    if task.name == "goto":
        layout.mission, layout.instruction = f"go to {name_a}", GoTo(a)
    elif task.name == "pickup":
        layout.mission, layout.instruction = f"pick up {name_a}", PickUp(a)
    elif task.name == "putnext":
        layout.mission, layout.instruction = f"put {name_a} next to {name_b}", PutNext(a, b)
    elif draw(0, 2) == 0:
        layout.mission = f"pick up {name_a}, then go to {name_b}"
        layout.instruction = BeforeInstr(PickUp(a), GoTo(b))
    else:
        layout.mission = f"go to {name_b} after you pick up {name_a}"
        layout.instruction = AfterInstr(GoTo(b), PickUp(a))


def _draw_open(task: Task, num_dists: int, draw: Draw) -> Layout | None:
    """One try at `open`: a locked door between two rooms, its key on the agent's side; None if rejected."""
    # Where minigrid's empty rooms put the agent; objects keep away from it until the agent is placed.
    middle = (DOOR_WALL + ROOM_SIZE // 2, ROOM_SIZE // 2)
    layout = Layout(task.width, agent=middle)
    door_y = draw(1, ROOM_SIZE - 1)
    color = pick(DOOR_COLORS, draw)
    locked, side = draw(0, 2), draw(0, 4)
    while (locked, side) not in ((0, 0), (1, 2)):  # the side that leads into the other room
        locked, side = draw(0, 2), draw(0, 4)
    layout.put(Door(color, is_locked=True), (DOOR_WALL, door_y))
    room = draw(0, 2)
    while room == locked:
        room = draw(0, 2)
    layout.put(key := Key(color), layout.free_cell(room * DOOR_WALL, draw, distance=2))
    layout.put_distractors(num_dists, room * DOOR_WALL, draw)
    # The agent is placed before its room is rejected: those draws count.
    start = draw(0, 2)
    layout.put_agent(start * DOOR_WALL, draw)
    while start == locked:
        start = draw(0, 2)
        layout.put_agent(start * DOOR_WALL, draw)
    named = key.color if draw(0, 2) else None
    layout.mission = f"open {layout.name('door', named)}"
    layout.instruction = Open(ObjDesc("door", named))
    return layout if _usable(layout) else None


def _usable(layout: Layout) -> bool:
    return not any(phrase in layout.mission for phrase in HELD_OUT) and layout.reachable()


def _apart(layout: Layout) -> bool:
    """Whether a `putnext` mission is not yet fulfilled: its objects differ and do not touch."""
    instruction = layout.instruction
    assert isinstance(instruction, PutNext)
    move, fixed = (
        [obj for obj in layout.objects if (obj.type, obj.color) == (desc.type, desc.color)]
        for desc in (instruction.desc_move, instruction.desc_fixed)
    )
    for a in move:
        for b in fixed:
            (ax, ay), (bx, by) = position(a), position(b)
            if a is b or abs(ax - bx) + abs(ay - by) == 1:
                return False
    return True
