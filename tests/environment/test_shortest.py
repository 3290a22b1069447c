"""Shortest lengths: the known means, and plain searches of the abstract and of the real environment."""

from __future__ import annotations

import random
from collections import deque
from contextlib import suppress
from typing import Any

import gymnasium
import numpy as np
import pytest
from minigrid.envs.babyai.core.verifier import GoToInstr, PickupInstr, SeqInstr

from babyai_kit.environment import ACTIONS, TASKS, expert_actions, make_env, shortest_length, shortest_path
from babyai_kit.environment.objectives import State
from babyai_kit.environment.playback import Playback
from babyai_kit.environment.shortest import World
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import StepOrderError, UnsupportedLevelError
from tests.support.policies import ADVICE, PICK_UP, TOGGLE, play

KNOWN = {
    "goto": (4.63, 0.935),
    "pickup": (5.63, 0.921),
    "open": (12.24, 0.914),
    "putnext": (10.04, 0.929),
    "pick_up_seq_go_to": (9.51, 0.933),
}
"""Mean length and return of the shortest ways on seeds 0 to 199."""


def lengths(task: str, num_dists: int = 0, *, move_goals: bool = False, seeds: int = 200) -> list[int]:
    env = make_env(task, num_dists=num_dists)
    shortest = []
    for seed in range(seeds):
        env.reset(seed=seed)
        shortest.append(shortest_length(env, move_goals=move_goals))
    return shortest


@pytest.mark.parametrize("task", TASKS)
def test_known_means(task: str) -> None:
    shortest = lengths(task)
    assert np.mean(shortest) == pytest.approx(KNOWN[task][0], abs=0.0051)
    returns = [1 - 0.9 * n / make_env(task).max_steps for n in shortest]
    assert round(np.mean(returns), 3) == KNOWN[task][1]


def test_moving_goals_shortens_sequences_only() -> None:
    for task in TASKS:
        free, fixed = lengths(task, move_goals=True), lengths(task)
        if task == "pick_up_seq_go_to":
            assert np.mean(free) == 9.475
            assert sum(a < b for a, b in zip(free, fixed, strict=True)) == 6
        else:
            assert free == fixed


def plain_search(world: World, untouched: frozenset[int]) -> list[int]:
    """Breadth first, without any bound: the actions of a shortest way."""
    came: dict[State, tuple[State, int] | None] = {world.start: None}
    queue = deque([world.start])
    while queue:
        state = queue.popleft()
        for moved_to, action, moved in world.moves(state, untouched):
            after, success = world.objective.after(moved_to, action, moved)
            if success:
                way, at = [action], came[state]
                while at is not None:
                    way.append(at[1])
                    at = came[at[0]]
                return way[::-1]
            if after not in came:
                came[after] = (state, action)
                queue.append(after)
    raise AssertionError("no way")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("move_goals", [False, True])
def test_as_a_plain_search_and_walkable(task: str, move_goals: bool) -> None:
    for num_dists, seeds in ((0, 40), (2, 2)):
        env = make_env(task, num_dists=num_dists)
        for seed in range(seeds):
            env.reset(seed=seed)
            world = World(env)  # type: ignore[arg-type]
            way = plain_search(world, frozenset() if move_goals else world.objective.landmarks)
            assert len(way) == shortest_length(env, move_goals=move_goals)
            # Walked in the real environment it succeeds at the last step and not before.
            rewards = [env.step(action)[1] for action in way]
            assert [reward > 0 for reward in rewards] == [False] * (len(way) - 1) + [True]


class Snapshots:
    """Puts an environment back to where it was: all that its steps change."""

    def __init__(self, env: TextEnv) -> None:
        instrs: Any = env.instrs
        parts = [instrs.instr_a, instrs.instr_b] if isinstance(instrs, SeqInstr) else [instrs]
        names = ("desc", "desc_move", "desc_fixed")
        self.descs: list[Any] = [
            getattr(part, name) for part in parts for name in names if hasattr(part, name)
        ]
        self.env: Any = env
        self.changing = [env, instrs, *parts, *self.descs, *self.env.objects]

    def take(self) -> tuple[list[dict[str, Any]], list[Any]]:
        return [dict(vars(each)) for each in self.changing], list(self.env.grid.grid)

    def put_back(self, snapshot: tuple[list[dict[str, Any]], list[Any]]) -> None:
        saved, cells = snapshot
        for each, attributes in zip(self.changing, saved, strict=True):
            vars(each).update(attributes)
        self.env.grid.grid[:] = cells

    def key(self) -> tuple[object, ...]:
        """What the future depends on."""
        env = self.env
        done = [getattr(env.instrs, name, None) for name in ("a_done", "b_done")]
        cached = [tuple(desc.obj_poss) for desc in self.descs]
        return (*env.agent_pos, env.agent_dir, id(env.carrying), *map(id, env.grid.grid), *cached, *done)


def real_search(env: TextEnv, limit: int, untouched: list[Any]) -> int:
    """Breadth first over the environment itself, with every action but on what must stay untouched."""
    snapshots = Snapshots(env)
    start = snapshots.take()
    ring, visited = [start], {snapshots.key()}
    for length in range(1, limit + 1):
        next_ring = []
        for state in ring:
            for action in range(len(ACTIONS)):
                snapshots.put_back(state)
                front = env.grid.get(*env.front_pos)
                if action in (PICK_UP, TOGGLE) and any(front is obj for obj in untouched):
                    continue
                if env.step(action)[1] > 0:
                    snapshots.put_back(start)
                    return length
                if snapshots.key() not in visited:
                    visited.add(snapshots.key())
                    next_ring.append(snapshots.take())
        ring = next_ring
    raise AssertionError("no way")


def landmarks(env: TextEnv) -> list[Any]:
    """The objects to go to that are not to be picked up."""
    instrs: Any = env.instrs
    if not isinstance(instrs, SeqInstr):
        return list(instrs.desc.obj_set) if isinstance(instrs, GoToInstr) else []
    go, pick = sorted((instrs.instr_a, instrs.instr_b), key=lambda part: isinstance(part, PickupInstr))
    return [obj for obj in go.desc.obj_set if not any(obj is other for other in pick.desc.obj_set)]


@pytest.mark.parametrize("task", TASKS)
def test_as_a_search_over_the_real_environment(task: str) -> None:
    """From starts, and from the middle of episodes with things taken, moved and destroyed."""
    longest = {"goto": 9, "pickup": 9, "open": 11}.get(task, 8)
    rng = random.Random(task)
    compared = []
    for num_dists, prefix in ((0, 0), (0, 12), (1, 5), (3, 8)) * 12:
        env = make_env(task, num_dists=num_dists)
        env.reset(seed=rng.randrange(10**6))
        for action in play(env, rng.choices([2, 3, 3, 4, 5, ADVICE, ADVICE], k=prefix)):
            env.step(action)
        for untouched, move_goals in ((landmarks(env), False), ([], True)):
            length = longest + 1
            with suppress(StepOrderError, UnsupportedLevelError):  # It has ended; the goal was destroyed.
                length = shortest_length(env, move_goals=move_goals)
            if length <= longest:
                assert real_search(env, length, untouched) == length
                compared.append(length)
    assert len(compared) > 20
    assert max(compared) == longest


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_dists", [0, 8])
def test_every_step_is_one_step_nearer_at_most(task: str, num_dists: int) -> None:
    """Along the expert's way the remaining length falls by one a step at most, and it ends at 1."""
    env = make_env(task, num_dists=num_dists)
    for seed in range(15):
        env.reset(seed=seed)
        left = first = shortest_length(env)
        for action in expert_actions(env):
            assert left >= 1
            env.step(action)
            if env.running:
                now = shortest_length(env)
                assert now >= left - 1
                left = now
        assert left == 1
        assert env.step_count >= first


def test_it_leaves_the_environment_alone() -> None:
    env, other = make_env("open", num_dists=4), make_env("open", num_dists=4)
    for each in (env, other):
        each.reset(seed=3)
    before = env.np_random.bit_generator.state
    shortest_length(env)
    assert env.np_random.bit_generator.state == before
    assert env.step_count == 0
    assert [env.step(a) for a in [2, 1, 3, 4]] == [other.step(a) for a in [2, 1, 3, 4]]
    assert env.reset() == other.reset()


def test_errors() -> None:
    level = make_env("BabyAI-GoTo-v0")
    level.reset(seed=0)
    with pytest.raises(UnsupportedLevelError, match="BabyAI-GoTo-v0; use one of goto"):
        shortest_length(level)
    env = gymnasium.make("BabyAIText/pickup-v0")
    with pytest.raises(StepOrderError, match="reset"):
        shortest_length(env)
    boxes = (seed for seed in range(100) if "box" in env.reset(seed=seed)[0]["mission"])
    env.reset(seed=next(boxes))
    *way, _ = plain_search(World(env.unwrapped), frozenset())  # type: ignore[arg-type]
    for action in [*way, 5]:
        env.step(action)
    with pytest.raises(UnsupportedLevelError, match="impossible"):
        shortest_length(env)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_dists", [0, 3])
def test_a_shortest_path_leads_to_success_and_no_sooner(task: str, num_dists: int) -> None:
    for seed in range(10):
        playback = Playback(task, seed=seed, num_dists=num_dists)
        path = shortest_path(playback.env)
        assert len(path) == shortest_length(playback.env)
        rewards = [playback.step(ACTIONS[action]) for action in path]
        assert rewards[-1] > 0
        assert not any(rewards[:-1])
