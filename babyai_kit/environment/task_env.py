"""The five tasks as an environment: how a drawn layout becomes minigrid's state."""

from __future__ import annotations

from typing import ClassVar

from minigrid.core.grid import Grid
from minigrid.core.roomgrid import Room
from minigrid.core.world_object import WorldObj

from babyai_kit.environment.generation import generate
from babyai_kit.environment.tasks import MAX_DISTRACTORS, ROOM_SIZE, TASKS, find_task
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import InputError, UnknownTaskError, unknown


class TaskEnv(TextEnv):
    """One of `TASKS` with `num_dists` further objects, 0 to 16 (BALROG uses 0).

    `objects` are the episode's doors, keys, balls and boxes, also those carried or destroyed. The rooms
    of `room_grid` have positions only: their lists of doors and objects stay empty.
    """

    # The room is convex, objects hide nothing, and the room behind the locked door is empty.
    see_through: ClassVar[bool] = True

    def __init__(self, task: str, *, num_dists: int = 0, render_mode: str | None = None) -> None:
        constants = find_task(task) if isinstance(task, str) else None
        if constants is None:
            raise UnknownTaskError(unknown("task", task, TASKS))
        if type(num_dists) is not int or not 0 <= num_dists <= MAX_DISTRACTORS:
            raise InputError(
                f"{num_dists!r} is not a valid num_dists; use an int from 0 to {MAX_DISTRACTORS}"
            )
        self.task = constants
        self.level_id = constants.name
        self.num_dists = num_dists
        self.objects: tuple[WorldObj, ...] = ()
        super().__init__(
            room_size=ROOM_SIZE,
            num_rows=1,
            num_cols=constants.columns,
            max_steps=constants.max_steps,
            render_mode=render_mode,
        )
        size = (ROOM_SIZE, ROOM_SIZE)
        self.room_grid = [[Room((i * (ROOM_SIZE - 1), 0), size) for i in range(constants.columns)]]

    def _gen_grid(self, width: int, height: int) -> None:
        layout = generate(self.task, self.num_dists, self.np_random)
        self.grid = Grid(width, height)
        self.grid.grid = layout.cells
        self.agent_pos, self.agent_dir = layout.agent, layout.direction
        self.objects = tuple(layout.objects)
        self.carrying = None
        assert layout.instruction is not None
        self.instrs, self.mission = layout.instruction, layout.mission
