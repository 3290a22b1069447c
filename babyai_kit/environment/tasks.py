"""The five tasks of BALROG's BabyAI-Text and their constants.

Source of the figures: the level definitions of BALROG's BabyAI-Text, as observed.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTIONS: tuple[str, ...] = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle")
"""The language actions; the index is the action. Minigrid's seventh, `done`, is not exposed."""

ROOM_SIZE = 8
"""Cells along a room's side, walls included; neighbouring rooms share a wall."""

MAX_DISTRACTORS = 16
"""A reset takes 0.1 s with 14 and seconds with 16; with more, a room of 36 cells hardly has a layout in which
every object can be reached."""


@dataclass(frozen=True)
class Task:
    """What distinguishes a task before anything is drawn."""

    name: str
    columns: int
    """Rooms side by side; all tasks have one row of rooms."""
    objects: int
    """Keys, balls and boxes drawn at random without distractors (the key of `open` is not random)."""
    navigations: int
    """How many walks the mission needs; each allows one room's area of steps per room."""

    @property
    def width(self) -> int:
        """Cells from the left outer wall to the right one."""
        return self.columns * (ROOM_SIZE - 1) + 1

    @property
    def max_steps(self) -> int:
        """Steps after which an episode is cut off; the same for every seed."""
        return self.navigations * ROOM_SIZE**2 * self.columns


_TASKS = {
    task.name: task
    for task in (
        Task("goto", columns=1, objects=1, navigations=1),
        Task("pickup", columns=1, objects=1, navigations=1),
        Task("open", columns=2, objects=0, navigations=1),
        Task("putnext", columns=1, objects=2, navigations=2),
        Task("pick_up_seq_go_to", columns=1, objects=2, navigations=2),
    )
}

TASKS: tuple[str, ...] = tuple(_TASKS)
"""Names of the tasks, in BALROG's order."""

MAX_STEPS: dict[str, int] = {name: task.max_steps for name, task in _TASKS.items()}
"""Length limit of an episode per task, in steps."""


def find_task(name: str) -> Task | None:
    """The task called `name`, or None."""
    return _TASKS.get(name)
