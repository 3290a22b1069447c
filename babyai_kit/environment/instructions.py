"""Minigrid's instructions with a faster search for their objects.

The classes derive from minigrid's own (so its bot understands them) and succeed at the same steps; only the
search for objects differs: theirs walks the whole grid, ours the few objects of the episode.
"""

from __future__ import annotations

from typing import Any

from minigrid.core.world_object import WorldObj
from minigrid.envs.babyai.core import verifier

Position = tuple[int, int]


class ObjDesc(verifier.ObjDesc):
    """Objects of a type and, unless None, a colour, among `env.objects`.

    Which objects match is decided at reset. Their positions are those of the latest update: an object
    picked up since then still counts as being where it was.
    """

    def find_matching_objs(
        self, env: Any, use_location: bool = True
    ) -> tuple[list[WorldObj], list[Position]]:
        """Match again (`use_location`), or only look up where the matched objects are now.

        Returns the objects and the positions of those that lie in the grid, in minigrid's order.
        """
        level = env.unwrapped
        candidates = level.objects if use_location else self.obj_set
        matches = []
        for obj in candidates:
            if obj.type == self.type and self.color in (None, obj.color) and obj is not level.carrying:
                x, y = obj.cur_pos
                # A box that was opened is gone, but keeps its last position.
                if level.grid.grid[y * level.grid.width + x] is obj:
                    matches.append(((x, y), obj))
        # Column by column, as minigrid scans: the bot pairs objects and positions by index.
        matches.sort(key=lambda pair: pair[0])
        if use_location:
            self.obj_set = [obj for _, obj in matches]
        self.obj_poss = [position for position, _ in matches]
        return self.obj_set, self.obj_poss


class _Direct:
    """Reports success at once, whatever the environment variable BABYAI_DONE_ACTIONS says."""

    def verify(self, action: int) -> str:
        status: str = self.verify_action(action)  # type: ignore[attr-defined]
        return status


class GoTo(_Direct, verifier.GoToInstr):
    """Face an object."""

    def verify_action(self, action: int) -> str:  # type: ignore[override]
        return "success" if self.env.front_pos in self.desc.obj_poss else "continue"


class PickUp(_Direct, verifier.PickupInstr):
    """Pick up an object with empty hands."""


class Open(_Direct, verifier.OpenInstr):
    """Toggle a door so that it is open."""


class PutNext(_Direct, verifier.PutNextInstr):
    """Drop an object beside another."""
