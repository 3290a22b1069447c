"""Which steps of a successful episode it needed.

Knows how to replay actions and to tell whether two states are the same; nothing of models or of learning. An
episode that comes back to a state has lost nothing if the steps in between are left out. That is not taken
on trust: the steps that stay are replayed, and count only if they succeed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from babyai_kit.environment.registration import make_env
from babyai_kit.environment.tasks import ACTIONS


def needed_steps(task: str, seed: int, actions: Sequence[str], *, num_dists: int = 0) -> tuple[bool, ...]:
    """For each of the executed `actions` (names of ACTIONS) whether the success needs it.

    Left out are steps that changed nothing and those between two visits of one state. All steps are needed
    where the episode did not succeed, or would not without them (as when an object was picked up and laid
    back, which a mission may ask for).
    """
    env = make_env(task, num_dists=num_dists)
    states: list[Hashable] = []

    def replay(chosen: Sequence[str]) -> bool:
        states.clear()
        env.reset(seed=seed)
        level = env.unwrapped
        for action in chosen:
            if not level.running:  # type: ignore[attr-defined]
                break
            states.append(_state(level))
            _, reward, terminated, truncated, _ = env.step(ACTIONS.index(action))
            if terminated or truncated:
                return float(reward) > 0
        return False

    every = (True,) * len(actions)
    if not replay(actions):
        return every
    last = {state: step for step, state in enumerate(states)}
    needed, step = [False] * len(actions), 0
    while step < len(states):
        step = last[states[step]]
        needed[step] = True
        step += 1
    kept = [action for action, keep in zip(actions, needed, strict=True) if keep]
    return tuple(needed) if replay(kept) else every


def _state(level: Any) -> Hashable:
    """The grid, what is carried, where the agent stands, and which part of the mission is done."""
    held, instruction = level.carrying, level.instrs
    return (
        tuple(cell and cell.encode() for cell in level.grid.grid),
        held and (held.type, held.color),
        *level.agent_pos,
        level.agent_dir,
        getattr(instruction, "a_done", None) == "success",
        getattr(instruction, "b_done", None) == "success",
    )
