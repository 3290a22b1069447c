"""What happened in an episode, as counts: the basis on which failures are classified."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from minigrid.core.world_object import Box, WorldObj

from babyai_kit.environment.reading import read_observation
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.failures.aims import Aim, aim, cut_off, named, takeable
from babyai_kit.runs.records import StepRecord
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


class Observer:
    """Gathers the facts of an episode from its states, one after the other."""

    def __init__(self) -> None:
        self.repeats: list[int | None] = []
        """For each step, the earlier one that did the same in the same state first, if there is one."""
        self._moves: dict[Hashable, int] = {}
        self._invalid_answers = self._goal_seen_steps = 0
        self._wrong_objects: list[str] = []
        self._destroyed_goals: list[str] = []
        self._allowed: list[WorldObj] = []
        self._goals: list[WorldObj] = []
        self._stage: Aim | None = None
        self._fatal_step: int | None = None
        self._ahead: WorldObj | None = None
        self._load: WorldObj | None = None

    def add(self, env: TextEnv, step: StepRecord | None) -> None:
        """The environment before `step`, or at the end."""
        if self._stage is None:
            self._allowed, self._goals = takeable(env), named(env)
        else:
            self._judge(env)
        self._ahead, self._load = env.grid.get(*env.front_pos), env.carrying
        stage = aim(env)
        if stage != self._stage:
            self._goal_seen_steps = 0
            self._stage = stage
        if step is not None:
            self._invalid_answers += not step.valid
            self._goal_seen_steps += _tells(step.observation, stage)
            move, number = (_state(env), stage, step.action), len(self.repeats)
            first = self._moves.setdefault(move, number)
            self.repeats.append(None if first == number else first)

    def _judge(self, env: TextEnv) -> None:
        """What the step just taken did to an object."""
        needed = (*self._allowed, *self._goals)
        if _destroyed(env, self._ahead):
            if _among(self._ahead, self._goals):
                self._destroyed_goals.append(_name(self._ahead))
                if self._fatal_step is None:
                    self._fatal_step = len(self.repeats) - 1
            elif not cut_off(env, needed):
                self._wrong_objects.append(_name(self._ahead))
        elif env.carrying not in (None, self._load) and not (
            _among(env.carrying, self._allowed) or cut_off(env, needed)
        ):
            self._wrong_objects.append(_name(env.carrying))

    def facts(self) -> Facts:
        """Of the states so far, at least one."""
        assert self._stage is not None
        return Facts(
            steps=len(self.repeats),
            invalid_answers=self._invalid_answers,
            repeated_steps=sum(first is not None for first in self.repeats),
            destroyed_goals=tuple(self._destroyed_goals),
            wrong_objects=tuple(self._wrong_objects),
            stage=self._stage.stage,
            goal=" or ".join(self._stage.objects),
            goal_seen_steps=self._goal_seen_steps,
            fatal_step=self._fatal_step,
        )


def observe(trajectory: Trajectory) -> Facts:
    """The facts of a trajectory. Raises JournalError if it does not replay."""
    observer = Observer()
    for env, step in trajectory.states():
        observer.add(env, step)
    return observer.facts()


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
