"""What happened in an episode, as counts: the basis on which failures are classified."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from minigrid.core.world_object import Box, WorldObj

from babyai_kit.environment.reading import read_observation
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.failures.aims import Aim, aim, cut_off, named, takeable
from babyai_kit.runs.trajectories import Trajectory


@dataclass(frozen=True)
class Facts:
    """Counts over the steps of one episode."""

    steps: int
    invalid_answers: int
    """Steps whose answer was invalid, so that the agent was moved forward instead."""
    repeated_steps: int
    """Steps that did the same in the same state as an earlier step of the episode. The state is the agent's
    place, direction and load, the state of every object and door, and the stage of the mission. As the
    environment is deterministic, such a step leads nowhere new."""
    destroyed_goals: tuple[str, ...]
    """Boxes that the mission names and the agent opened, which destroys them: "red box", in order."""
    wrong_objects: tuple[str, ...]
    """Objects that the agent picked up although the mission asks neither to pick them up nor to put them
    somewhere and no locked door needs them, and empty boxes it opened that the mission does not name: "red
    key", in order, each time. An object moved out of the way is among them, unless it cut the agent off from
    something that the mission names or from the key of a locked door, as in levels of several rooms."""
    stage: str
    """What the mission still asked for at the end, see `Aim`."""
    goal: str
    """The objects it asked for, like "red key"; several are joined by "or"."""
    goal_seen_steps: int
    """Observations that showed such an object, since the mission's last stage began."""
    fatal_step: int | None = None
    """The step, counted from 0, that opened the first box that the mission names; None if none did."""


def observe(trajectory: Trajectory) -> Facts:
    """The facts of a trajectory. Raises JournalError if it does not replay."""
    moves: set[Hashable] = set()
    repeated_steps = goal_seen_steps = 0
    wrong_objects: list[str] = []
    destroyed_goals: list[str] = []
    allowed: list[WorldObj] = []
    goals: list[WorldObj] = []
    stage: Aim | None = None
    fatal_step: int | None = None
    ahead: WorldObj | None = None
    load: WorldObj | None = None
    for number, (env, step) in enumerate(trajectory.states()):
        if number == 0:
            allowed, goals = takeable(env), named(env)
        elif _destroyed(env, ahead):
            if _among(ahead, goals):
                destroyed_goals.append(_name(ahead))
                fatal_step = number - 1 if fatal_step is None else fatal_step
            elif not cut_off(env, (*allowed, *goals)):
                wrong_objects.append(_name(ahead))
        elif env.carrying not in (None, load) and not (
            _among(env.carrying, allowed) or cut_off(env, (*allowed, *goals))
        ):
            wrong_objects.append(_name(env.carrying))
        ahead, load = env.grid.get(*env.front_pos), env.carrying
        previous, stage = stage, aim(env)
        if stage != previous:
            goal_seen_steps = 0
        if step is not None:
            goal_seen_steps += _tells(step.observation, stage)
            move = (_state(env), stage, step.action)
            repeated_steps += move in moves
            moves.add(move)
    assert stage is not None
    return Facts(
        steps=len(trajectory.steps),
        invalid_answers=sum(not step.valid for step in trajectory.steps),
        repeated_steps=repeated_steps,
        destroyed_goals=tuple(destroyed_goals),
        wrong_objects=tuple(wrong_objects),
        stage=stage.stage,
        goal=" or ".join(stage.objects),
        goal_seen_steps=goal_seen_steps,
        fatal_step=fatal_step,
    )


def _state(env: TextEnv) -> Hashable:
    """All that the rest of an episode depends on, except the mission's stage."""
    objects = tuple(
        (i, cell.type, cell.color, getattr(cell, "is_open", None), getattr(cell, "is_locked", None))
        for i, cell in enumerate(env.grid.grid)
        if cell is not None and cell.type != "wall"
    )
    return env.agent_pos, env.agent_dir, env.carrying and _name(env.carrying), objects


def _tells(observation: str, stage: Aim) -> bool:
    """Whether `observation` says where an object of `stage` is; "You carry ..." does not."""
    return any(obj.name in stage.objects for obj in read_observation(observation).objects)


def _destroyed(env: TextEnv, ahead: WorldObj | None) -> bool:
    """Whether the step just taken opened the empty box that was `ahead`."""
    if not isinstance(ahead, Box) or ahead.contains is not None or env.carrying is ahead:
        return False
    return all(cell is not ahead for cell in env.grid.grid)


def _among(obj: WorldObj | None, objects: list[WorldObj]) -> bool:
    return any(obj is other for other in objects)


def _name(obj: WorldObj | None) -> str:
    return "" if obj is None else f"{obj.color} {obj.type}"
