"""The least number of steps to success for one who knows everything.

Knows minigrid's physics in an abstract form and searches it best first (A*) with the bounds of
`missions`: where every object lies, what is carried and which positions still count are part of the
state, so the length is exact. The environment is read, never stepped.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from minigrid.envs.babyai.core.verifier import AfterInstr, BeforeInstr

from babyai_kit.environment import instructions
from babyai_kit.environment.facing import FAR, deltas, room_cells
from babyai_kit.environment.missions import (
    DROP,
    NOTHING,
    PICK_UP,
    Mission,
    OpenDoor,
    PickUp,
    PutNext,
    State,
    Visit,
)
from babyai_kit.environment.task_env import TaskEnv
from babyai_kit.environment.tasks import ACTIONS, ROOM_SIZE, TASKS
from babyai_kit.errors import StepOrderError, UnsupportedLevelError

LEFT, RIGHT, FORWARD, TOGGLE = (
    ACTIONS.index(name) for name in ("turn left", "turn right", "go forward", "toggle")
)
LARGEST_SEARCH = 500_000
"""States; without distractors a few hundred are enough."""


class World:
    """What of an episode never changes: the room, what can be moved, and what is asked for."""

    def __init__(self, env: TaskEnv) -> None:
        width, objects = env.grid.width, env.objects
        x, y = env.agent_pos
        left = x // (ROOM_SIZE - 1) * (ROOM_SIZE - 1)
        self.room, self.deltas = room_cells(width, left), deltas(width)
        self.kinds = tuple(obj.type for obj in objects)
        self.keys = frozenset(
            i for i, obj in enumerate(objects) if obj.type == "key" and obj.color == objects[0].color
        )
        instrs: Any = env.instrs
        held = NOTHING if env.carrying is None else _index(objects, env.carrying)
        goals: frozenset[int] = frozenset()
        picked = True
        self.mission: Mission
        if isinstance(instrs, BeforeInstr | AfterInstr):
            in_order = isinstance(instrs, BeforeInstr)
            pick: Any = instrs.instr_a if in_order else instrs.instr_b
            go: Any = instrs.instr_b if in_order else instrs.instr_a
            picked = (instrs.a_done if in_order else instrs.b_done) == "success"
            goals = frozenset(y * width + x for x, y in go.desc.obj_poss)
            self.mission = Visit(width, left, _indices(objects, pick.desc), _indices(objects, go.desc))
        elif isinstance(instrs, instructions.GoTo):
            goals = frozenset(y * width + x for x, y in instrs.desc.obj_poss)
            self.mission = Visit(width, left, frozenset(), _indices(objects, instrs.desc))
        elif isinstance(instrs, instructions.PickUp):
            self.mission = PickUp(width, left, _indices(objects, instrs.desc))
        elif isinstance(instrs, instructions.Open):
            self.mission = OpenDoor(width, left, 0, self.keys)
        else:
            move, fixed = _indices(objects, instrs.desc_move), _indices(objects, instrs.desc_fixed)
            self.mission = PutNext(width, left, move, fixed)
        cells = [NOTHING] * len(objects)
        for cell, obj in enumerate(env.grid.grid):
            if obj is not None and obj.type != "wall":
                cells[_index(objects, obj)] = cell
        self.start = State(4 * (y * width + x) + env.agent_dir, held, tuple(cells), goals, picked)

    def moves(self, state: State, untouched: frozenset[int]) -> Iterator[tuple[State, int, int]]:
        """Every action that changes something but `untouched`: where it leads, its index, what it moves."""
        pose, held, cells = state.pose, state.held, state.cells
        cell, direction = divmod(pose, 4)
        yield state._replace(pose=4 * cell + (direction + 3) % 4), LEFT, NOTHING
        yield state._replace(pose=4 * cell + (direction + 1) % 4), RIGHT, NOTHING
        front = cell + self.deltas[direction]
        if front in cells:
            there = cells.index(front)
            if self.kinds[there] == "door":
                if held in self.keys:
                    yield state, TOGGLE, there
                return
            if there in untouched:
                return
            lifted = (*cells[:there], NOTHING, *cells[there + 1 :])
            if held == NOTHING:
                yield state._replace(held=there, cells=lifted), PICK_UP, there
            if self.kinds[there] == "box":
                yield state._replace(cells=lifted), TOGGLE, there
        elif front in self.room:
            yield state._replace(pose=4 * front + direction), FORWARD, NOTHING
            if held != NOTHING:
                dropped = (*cells[:held], front, *cells[held + 1 :])
                yield state._replace(held=NOTHING, cells=dropped), DROP, held


def shortest_length(env: Any, *, move_goals: bool = False) -> int:
    """The least number of steps (>= 1) from the present state to success; after reset(), of the episode.

    Blockers may be carried away and boxes in the way destroyed. The objects to go to stay where they are;
    `move_goals=True` also counts ways that carry one along or destroy it, whose old place still counts.
    That concerns `pick_up_seq_go_to` alone: without distractors a step or so in one of 30 episodes.

    Covers the five tasks, at any step of an episode. Leaves the environment and its random stream as
    they are. Raises StepOrderError when no episode is under way, UnsupportedLevelError for other levels,
    where no way is left (what is needed was destroyed), and where the search grows too long.
    """
    level = env.unwrapped
    if not isinstance(level, TaskEnv):
        name = getattr(level, "level_id", type(level).__name__)
        raise UnsupportedLevelError(f"no shortest length for {name}: use one of {', '.join(TASKS)}")
    if not level.running:
        raise StepOrderError("no episode is under way: call reset(seed=...) before shortest_length()")
    world = World(level)
    length = _search(world, frozenset() if move_goals else world.mission.landmarks)
    if length is None and not move_goals:  # A goal itself may block the only way.
        length = _search(world, frozenset())
    if length is None:
        raise UnsupportedLevelError(f"no way to success is left in {level.level_id}: call reset() before")
    return length


def _search(world: World, untouched: frozenset[int]) -> int | None:
    """Best first: the first success taken from the queue is a shortest one."""
    mission, start = world.mission, world.start
    best = {start: 0}
    newest = 0  # Breaks ties in favour of the latest state, which lies deepest; states have no order.
    queue: list[tuple[int, int, int, State | None]] = [(mission.bound(start), newest, 0, start)]
    while queue:
        total, _, steps, state = heapq.heappop(queue)
        if total >= FAR:
            return None
        if state is None:
            return steps
        if steps > best[state]:
            continue
        steps += 1
        for moved_to, action, moved in world.moves(state, untouched):
            after, success = mission.after(moved_to, action, moved)
            newest -= 1
            if success:
                heapq.heappush(queue, (steps, newest, steps, None))
            elif steps < best.get(after, FAR):
                best[after] = steps
                heapq.heappush(queue, (steps + mission.bound(after), newest, steps, after))
        if len(best) > LARGEST_SEARCH:
            raise UnsupportedLevelError(
                f"the search for the shortest way passed {LARGEST_SEARCH} states: use fewer num_dists"
            )
    return None


def _index(objects: tuple[Any, ...], wanted: Any) -> int:
    return next(i for i, obj in enumerate(objects) if obj is wanted)


def _indices(objects: tuple[Any, ...], desc: Any) -> frozenset[int]:
    return frozenset(_index(objects, obj) for obj in desc.obj_set)
