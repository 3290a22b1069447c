"""The five tasks built a second time, from minigrid's own parts: the oracle of levels, play and success.

Follows the specification with minigrid's placement, verifier and observation, slow and plain, and shares
no code with the package. Text: `observation_reference.tell`.
"""

from __future__ import annotations

from typing import Any

from minigrid.core.roomgrid import RoomGrid
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import (
    AfterInstr,
    BeforeInstr,
    GoToInstr,
    Instr,
    ObjDesc,
    OpenInstr,
    PickupInstr,
    PutNextInstr,
)

HELD_OUT = ("yellow box", "red key", "red door", "green ball", "grey door")


class ByMinigrid(RoomGridLevel):
    """A task as minigrid's authors might have written it; prints where minigrid prints."""

    def __init__(self, task: str, num_dists: int) -> None:
        self.task, self.num_dists = task, num_dists
        super().__init__(room_size=8, num_rows=1, num_cols=2 if task == "open" else 1)

    def gen_mission(self) -> None:
        while True:
            RoomGrid._gen_grid(self, self.width, self.height)
            self.instrs = self.locked_door() if self.task == "open" else self.one_room()
            mission = self.instrs.surface(self)
            if self.check_objs_reachable(raise_exc=False) and not any(it in mission for it in HELD_OUT):
                return

    def one_room(self) -> Instr:
        self.place_agent(0, 0)
        needed = 1 if self.task in ("goto", "pickup") else 2
        objects = self.add_distractors(0, 0, self.num_dists + needed, all_unique=False)
        first = self.described(objects)
        if self.task == "goto":
            return GoToInstr(first)
        if self.task == "pickup":
            return PickupInstr(first)
        second = self.described(objects)
        while (first.type, first.color) == (second.type, second.color):
            if len(first.find_matching_objs(self)[0]) > 1:
                break
            second = self.described(objects)
        if self.task == "putnext":
            return PutNextInstr(first, second)
        if self._rand_int(0, 2) == 0:
            return BeforeInstr(PickupInstr(first), GoToInstr(second))
        return AfterInstr(GoToInstr(second), PickupInstr(first))

    def described(self, objects: list[Any]) -> ObjDesc:
        obj = self._rand_elem(objects)
        return ObjDesc(obj.type, obj.color)

    def locked_door(self) -> Instr:
        color = self._rand_elem(["yellow", "green", "blue", "purple"])
        while True:
            locked, side = self._rand_int(0, 2), self._rand_int(0, 4)
            if self.get_room(locked, 0).neighbors[side]:
                break
        self.add_door(locked, 0, side, color, locked=True)
        while (room := self._rand_int(0, 2)) == locked:
            pass
        self.add_object(room, 0, "key", color)
        self.add_distractors(room, 0, self.num_dists, all_unique=False)
        while True:
            start = self._rand_int(0, 2)
            self.place_agent(start, 0)
            if start != locked:
                break
        return OpenInstr(ObjDesc("door", color if self._rand_int(0, 2) else None))
