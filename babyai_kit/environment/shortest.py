"""The least number of steps to success for one who knows everything, and a path that has it.

Minigrid's physics in an abstract form, searched best first (A*) with the bounds of `objectives`: where every
object lies, what is carried and which positions still count are part of the state, so the length is exact.
The environment is read, never stepped.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Any

from minigrid.envs.babyai.core.verifier import AfterInstr, BeforeInstr

from babyai_kit.environment import instructions
from babyai_kit.environment.distances import FAR, deltas, room_cells
from babyai_kit.environment.objectives import (
    DROP,
    NOTHING,
    PICK_UP,
    Objective,
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
MAX_STATES = 500_000
"""States; without distractors a few hundred are enough."""


class World:
    """What never changes in an episode: the room, the objects, and the objective."""

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
        carried = NOTHING if env.carrying is None else _index(objects, env.carrying)
        goals: frozenset[int] = frozenset()
        picked = True
        self.objective: Objective
        if isinstance(instrs, BeforeInstr | AfterInstr):
            in_order = isinstance(instrs, BeforeInstr)
            pick: Any = instrs.instr_a if in_order else instrs.instr_b
            go: Any = instrs.instr_b if in_order else instrs.instr_a
            picked = (instrs.a_done if in_order else instrs.b_done) == "success"
            goals = frozenset(y * width + x for x, y in go.desc.obj_poss)
            self.objective = Visit(width, left, _indices(objects, pick.desc), _indices(objects, go.desc))
        elif isinstance(instrs, instructions.GoTo):
            goals = frozenset(y * width + x for x, y in instrs.desc.obj_poss)
            self.objective = Visit(width, left, frozenset(), _indices(objects, instrs.desc))
        elif isinstance(instrs, instructions.PickUp):
            self.objective = PickUp(width, left, _indices(objects, instrs.desc))
        elif isinstance(instrs, instructions.Open):
            self.objective = OpenDoor(width, left, 0, self.keys)
        else:
            move, fixed = _indices(objects, instrs.desc_move), _indices(objects, instrs.desc_fixed)
            self.objective = PutNext(width, left, move, fixed)
        cells = [NOTHING] * len(objects)
        for cell, obj in enumerate(env.grid.grid):
            if obj is not None and obj.type != "wall":
                cells[_index(objects, obj)] = cell
        self.start = State(4 * (y * width + x) + env.agent_dir, carried, tuple(cells), goals, picked)

    def moves(self, state: State, untouched: frozenset[int]) -> Iterator[tuple[State, int, int]]:
        """Every action with an effect that leaves `untouched` alone: the state it leads to, its index, and
        the object that it moves."""
        pose, carried, cells = state.pose, state.carried, state.cells
        cell, direction = divmod(pose, 4)
        yield state._replace(pose=4 * cell + (direction + 3) % 4), LEFT, NOTHING
        yield state._replace(pose=4 * cell + (direction + 1) % 4), RIGHT, NOTHING
        front = cell + self.deltas[direction]
        if front in cells:
            obj = cells.index(front)
            if self.kinds[obj] == "door":
                if carried in self.keys:
                    yield state, TOGGLE, obj
                return
            if obj in untouched:
                return
            lifted = (*cells[:obj], NOTHING, *cells[obj + 1 :])
            if carried == NOTHING:
                yield state._replace(carried=obj, cells=lifted), PICK_UP, obj
            if self.kinds[obj] == "box":
                yield state._replace(cells=lifted), TOGGLE, obj
        elif front in self.room:
            yield state._replace(pose=4 * front + direction), FORWARD, NOTHING
            if carried != NOTHING:
                dropped = (*cells[:carried], front, *cells[carried + 1 :])
                yield state._replace(carried=NOTHING, cells=dropped), DROP, carried


def shortest_path(env: Any, *, move_goals: bool = False) -> tuple[int, ...]:
    """Actions (0..5, at least one) that lead from the present state to success in the fewest steps.

    There may be others as short. See `shortest_length` for what is covered and raised.
    """
    level = env.unwrapped
    if not isinstance(level, TaskEnv):
        name = getattr(level, "level_id", type(level).__name__)
        raise UnsupportedLevelError(f"there is no shortest length for {name}; use one of {', '.join(TASKS)}")
    if not level.running:
        raise StepOrderError("no episode is running; call reset(seed=...) before shortest_length()")
    world = World(level)
    path = _search(world, frozenset() if move_goals else world.objective.landmarks)
    if path is None and not move_goals:  # A goal itself may block the only path.
        path = _search(world, frozenset())
    if path is None:
        raise UnsupportedLevelError(f"success has become impossible in {level.level_id}; call reset() first")
    return path


def shortest_length(env: Any, *, move_goals: bool = False) -> int:
    """The least number of steps (>= 1) from the present state to success; after reset(), of the episode.

    Obstacles may be carried away and boxes in the way destroyed. The objects to go to stay where they are;
    `move_goals=True` also allows carrying one along or destroying it, since its old place still counts. That
    concerns `pick_up_seq_go_to` alone: without distractors a step or so in one of 30 episodes.

    Covers the five tasks, at any step of an episode. Leaves the environment and its random stream as they
    are. Raises StepOrderError when no episode is running, UnsupportedLevelError for other levels, where
    success has become impossible (what is needed was destroyed), and where the search grows too long.
    """
    return len(shortest_path(env, move_goals=move_goals))


def _search(world: World, untouched: frozenset[int]) -> tuple[int, ...] | None:
    """Best first: the first success taken from the queue ends a shortest path."""
    objective, start = world.objective, world.start
    best = {start: 0}
    before: dict[State, tuple[State, int]] = {}
    newest = 0  # Breaks ties in favour of the latest and so deepest state; states have no order.
    queue: list[tuple[int, int, int, State, int | None]] = [(objective.bound(start), newest, 0, start, None)]
    while queue:
        total, _, steps, state, last = heapq.heappop(queue)
        if total >= FAR:
            return None
        if last is not None:
            return (*_actions(before, state), last)
        if steps > best[state]:
            continue
        steps += 1
        for moved_to, action, moved in world.moves(state, untouched):
            after, success = objective.after(moved_to, action, moved)
            newest -= 1
            if success:
                heapq.heappush(queue, (steps, newest, steps, state, action))
            elif steps < best.get(after, FAR):
                best[after] = steps
                before[after] = state, action
                heapq.heappush(queue, (steps + objective.bound(after), newest, steps, after, None))
        if len(best) > MAX_STATES:
            raise UnsupportedLevelError(
                f"the search for the shortest path exceeded {MAX_STATES} states; use a smaller num_dists"
            )
    return None


def _actions(before: Mapping[State, tuple[State, int]], state: State) -> tuple[int, ...]:
    """The actions that led to `state`. `before`: for each state but the first, the one it comes from."""
    actions = []
    while state in before:
        state, action = before[state]
        actions.append(action)
    return tuple(reversed(actions))


def _index(objects: tuple[Any, ...], wanted: Any) -> int:
    return next(i for i, obj in enumerate(objects) if obj is wanted)


def _indices(objects: tuple[Any, ...], desc: Any) -> frozenset[int]:
    return frozenset(_index(objects, obj) for obj in desc.obj_set)
