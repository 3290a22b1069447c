"""Minigrid's instructions with a quicker eye.

Knows when an instruction is fulfilled and which objects it is about; nothing of how levels are drawn.
The classes are minigrid's own (so its bot understands them) and succeed at the same steps; only the
search for objects differs: theirs walks the whole grid, ours the few objects an episode has.
"""

from __future__ import annotations

from typing import Any

from minigrid.core.world_object import WorldObj
from minigrid.envs.babyai.core import verifier

Position = tuple[int, int]


class ObjDesc(verifier.ObjDesc):
    """Objects of a type and, unless None, a colour, among `env.objects`.

    Which objects they are is settled at reset. Their positions are those of the latest update: an
    object taken since then still counts as being where it was.
    """

    def find_matching_objs(
        self, env: Any, use_location: bool = True
    ) -> tuple[list[WorldObj], list[Position]]:
        """Match anew (`use_location`), or only look where the matched objects are now.

        Returns the objects and the positions of those that lie in the grid, in minigrid's order.
        """
        level = env.unwrapped
        candidates = level.objects if use_location else self.obj_set
        found = []
        for obj in candidates:
            if obj.type == self.type and self.color in (None, obj.color) and obj is not level.carrying:
                x, y = obj.cur_pos
                # A box that was opened is gone, but keeps its last position.
                if level.grid.grid[y * level.grid.width + x] is obj:
                    found.append(((x, y), obj))
        # Column by column, as minigrid scans: the bot pairs objects and positions by index.
        found.sort(key=lambda pair: pair[0])
        if use_location:
            self.obj_set = [obj for _, obj in found]
        self.obj_poss = [position for position, _ in found]
        return self.obj_set, self.obj_poss


class _Direct:
    """Success is told at once, whatever BABYAI_DONE_ACTIONS says in the process's environment."""

    def verify(self, action: int) -> str:
        status: str = self.verify_action(action)  # type: ignore[attr-defined]
        return status


class GoTo(_Direct, verifier.GoToInstr):
    """Face an object."""

    def verify_action(self, action: int) -> str:  # type: ignore[override]
        return "success" if self.env.front_pos in self.desc.obj_poss else "continue"


class PickUp(_Direct, verifier.PickupInstr):
    """Take an object with empty hands."""


class Open(_Direct, verifier.OpenInstr):
    """Toggle a door so that it is open."""


class PutNext(_Direct, verifier.PutNextInstr):
    """Drop an object beside another."""
