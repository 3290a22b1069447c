"""The objectives of the five tasks in an abstract state of the world.

When a step fulfils the mission, and a lower bound of the steps still needed. The bounds rest on one
observation: an object must be faced where it lies before it can lie elsewhere. So a mission ends either with
its landmarks where they are now, or after a detour that faces one of them, picks it up and drops it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from babyai_kit.environment.distances import FAR, deltas, room_cells, steps_between, steps_to_face
from babyai_kit.environment.tasks import ACTIONS

NOTHING = -1
PICK_UP, DROP = ACTIONS.index("pick up"), ACTIONS.index("drop")


class State(NamedTuple):
    """Everything that the future depends on. Cells and poses as in `distances`."""

    pose: int
    carried: int
    """Index of the carried object, or NOTHING."""
    cells: tuple[int, ...]
    """The cell of each object; NOTHING while it is carried and once it is destroyed."""
    goals: frozenset[int] = frozenset()
    """Cells that count as those to go to; only a drop looks them up again."""
    picked: bool = True
    """False until the first part of a sequence is done."""


@dataclass(frozen=True)
class Objective:
    """The aim of a mission in the room whose left wall is column `left`; subclasses know when it is done."""

    width: int
    left: int

    def after(self, state: State, action: int, moved: int) -> tuple[State, bool]:
        """The state after a step, and whether the step was the success.

        `state` is where `action` led, still with `goals` and `picked` of before; `moved` is the index of the
        object that was picked up, dropped or toggled, or NOTHING.
        """
        raise NotImplementedError

    def bound(self, state: State) -> int:
        """Never more than the steps to success; FAR or more where success is impossible."""
        raise NotImplementedError

    @property
    def landmarks(self) -> frozenset[int]:
        """The objects to go to that need not be picked up."""
        return frozenset()

    def to(self, state: State, cell: int) -> int:
        return steps_to_face(self.width, self.left, cell)[state.pose]

    def between(self, first: int, second: int) -> int:
        return steps_between(self.width, self.left, first, second)

    def beside(self, cell: int) -> list[int]:
        """The cells of the room that touch `cell`."""
        room = room_cells(self.width, self.left)
        return [cell + delta for delta in deltas(self.width) if cell + delta in room]


@dataclass(frozen=True)
class Visit(Objective):
    """Go to one of `goals`, once one of `first` was picked up (or at once, if state.picked)."""

    first: frozenset[int]
    goals: frozenset[int]

    @property
    def landmarks(self) -> frozenset[int]:
        return self.goals - self.first

    def after(self, state: State, action: int, moved: int) -> tuple[State, bool]:
        if action == DROP:
            state = state._replace(goals=frozenset(_placed(state, self.goals)))
        elif action == PICK_UP and moved in self.first:
            state = state._replace(picked=True)
        cell, direction = divmod(state.pose, 4)
        return state, state.picked and cell + deltas(self.width)[direction] in state.goals

    def bound(self, state: State) -> int:
        if state.picked:
            return min((self.to(state, goal) for goal in state.goals), default=FAR)
        pick = {cell: self.to(state, cell) + 1 for cell in _placed(state, self.first)}
        if state.carried in self.goals:  # It may be dropped anywhere, even on the way.
            return min(pick.values(), default=FAR) + 1
        direct = min((n + self.between(a, b) for a, n in pick.items() for b in state.goals), default=FAR)
        detour = min(
            (self.to(state, b) + self.between(b, a) + 3 for b in _placed(state, self.goals) for a in pick),
            default=FAR,
        )
        return min(direct, detour) + (state.carried != NOTHING)


@dataclass(frozen=True)
class PickUp(Objective):
    """Pick up one of `wanted`."""

    wanted: frozenset[int]

    def after(self, state: State, action: int, moved: int) -> tuple[State, bool]:
        return state, action == PICK_UP and moved in self.wanted

    def bound(self, state: State) -> int:
        nearest = min((self.to(state, cell) for cell in _placed(state, self.wanted)), default=FAR)
        return nearest + 1 + (state.carried != NOTHING)


@dataclass(frozen=True)
class OpenDoor(Objective):
    """Toggle `door` with one of `keys` in hand."""

    door: int
    keys: frozenset[int]

    def after(self, state: State, action: int, moved: int) -> tuple[State, bool]:
        return state, moved == self.door

    def bound(self, state: State) -> int:
        door = state.cells[self.door]
        if state.carried in self.keys:
            return self.to(state, door) + 1
        fetch = (self.to(state, key) + self.between(key, door) for key in _placed(state, self.keys))
        return min(fetch, default=FAR) + 2 + (state.carried != NOTHING)


@dataclass(frozen=True)
class PutNext(Objective):
    """Drop one of `move` beside one of `fixed`."""

    move: frozenset[int]
    fixed: frozenset[int]

    def after(self, state: State, action: int, moved: int) -> tuple[State, bool]:
        if action != DROP or moved not in self.move:
            return state, False
        near = self.beside(state.cells[moved])
        return state, any(cell in near for cell in _placed(state, self.fixed))

    def bound(self, state: State) -> int:
        fixed = _placed(state, self.fixed)
        spots = {spot for cell in fixed for spot in self.beside(cell)}
        if state.carried in self.move:
            direct = min((self.to(state, spot) for spot in spots), default=FAR)
            # Drop it, take and drop the other, take it again.
            detour = min((self.to(state, cell) + 4 for cell in fixed), default=FAR)
            return min(direct, detour) + 1
        fetch = {cell: self.to(state, cell) for cell in _placed(state, self.move)}
        if state.carried in self.fixed:
            return min(fetch.values(), default=FAR) + 3
        direct = min((n + 2 + self.between(a, spot) for a, n in fetch.items() for spot in spots), default=FAR)
        detour = min(
            (
                min(self.to(state, b) + self.between(b, a) + 4, n + self.between(a, b) + 6)
                for a, n in fetch.items()
                for b in fixed
            ),
            default=FAR,
        )
        return min(direct, detour) + (state.carried != NOTHING)


def _placed(state: State, objects: frozenset[int]) -> list[int]:
    """The cells of those of `objects` that lie in the room."""
    return [state.cells[i] for i in objects if state.cells[i] != NOTHING]
