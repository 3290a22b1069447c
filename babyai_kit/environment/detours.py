"""Which steps of a successful episode it needed.

An episode that comes back to a state has lost nothing if the steps in between are left out. That is not taken
on trust: the steps that stay are replayed, and count only if they succeed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import compress
from typing import Any

from babyai_kit.environment.playback import Playback


def needed_steps(task: str, seed: int, actions: Sequence[str], *, num_dists: int = 0) -> tuple[bool, ...]:
    """For each of the executed `actions` (names of ACTIONS) whether the success needs it.

    Left out are steps that changed nothing and those between two visits of one state. All steps are needed
    where the episode did not succeed, or would not without them (as when an object was picked up and laid
    back, which a mission may ask for).
    """

    def play(actions: Sequence[str]) -> tuple[bool, list[Hashable]]:
        """Whether `actions` succeed, and the state before each of them."""
        playback = Playback(task, num_dists=num_dists, seed=seed)
        states = []
        for action in actions:
            if playback.done:
                break
            states.append(_state(playback.env))
            playback.step(action)
        return playback.reward > 0, states

    all_needed = (True,) * len(actions)
    success, states = play(actions)
    if not success:
        return all_needed
    last_visit = {state: step for step, state in enumerate(states)}
    needed, step = [False] * len(actions), 0
    while step < len(states):
        step = last_visit[states[step]]
        needed[step] = True
        step += 1
    success, _ = play(list(compress(actions, needed)))
    return tuple(needed) if success else all_needed


def _state(level: Any) -> Hashable:
    """The grid, what is carried, where the agent stands, and which part of the mission is done."""
    load, instruction = level.carrying, level.instrs
    return (
        tuple(cell and cell.encode() for cell in level.grid.grid),
        load and (load.type, load.color),
        *level.agent_pos,
        level.agent_dir,
        getattr(instruction, "a_done", None) == "success",
        getattr(instruction, "b_done", None) == "success",
    )
