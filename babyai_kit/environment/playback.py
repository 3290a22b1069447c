"""An episode played by the names of its actions: recorded ones, which are checked, and new ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from babyai_kit.environment.registration import make_env
from babyai_kit.environment.tasks import ACTIONS
from babyai_kit.errors import ReplayError


class RecordedStep(Protocol):
    """A step as it was recorded: the observation before its action, the action, and the reward for it."""

    @property
    def observation(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def reward(self) -> float: ...


Step = TypeVar("Step", bound=RecordedStep)


class Playback:
    """An episode in a fresh environment `env`, as far as it was played.

    `mission` and `observation` are the present texts, `reward` that of the last step, `done` whether the
    episode has ended.
    """

    def __init__(self, task: str, *, seed: int, num_dists: int = 0) -> None:
        self.task, self.seed = task, seed
        self.env = make_env(task, num_dists=num_dists)
        observation, _ = self.env.reset(seed=seed)
        self.mission, self.observation = observation["mission"], observation["text"]
        self.reward = 0.0
        self.done = False

    def step(self, action: str) -> float:
        """Execute one of ACTIONS by name; returns the reward."""
        observation, reward, terminated, truncated, _ = self.env.step(ACTIONS.index(action))
        self.observation, self.reward = observation["text"], float(reward)
        self.done = terminated or truncated
        return self.reward

    def replay(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Execute the recorded `steps`, each after it was yielded; the episode is then where they end.

        Raises ReplayError where the environment does not show what was recorded.
        """
        for number, step in enumerate(steps, start=self.env.step_count):
            if self.done:
                raise self._unlike(number, step, "the episode had ended before it")
            if step.observation != self.observation:
                raise self._unlike(number, step, "the environment shows another observation")
            if step.action not in ACTIONS:
                raise self._unlike(number, step, "its action does not exist")
            yield step
            if self.step(step.action) != step.reward:
                raise self._unlike(number, step, "the environment gives another reward")

    def _unlike(self, number: int, step: RecordedStep, reason: str) -> ReplayError:
        return ReplayError(f"step {number} of {self.task}, seed {self.seed}, does not replay: {reason}", step)
