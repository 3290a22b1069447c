"""The environment with BALROG's calling convention, for evaluation loops that were written against BALROG.

The convention alone: observations, rewards and pictures are those of `babyai_kit.environment`, which are
BALROG's to the character. The instruction is in this kit's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import gymnasium
import numpy as np
from minigrid.core.actions import Actions
from PIL import Image

from babyai_kit.environment.picture import present_view
from babyai_kit.environment.registration import make_env as make_text_env
from babyai_kit.environment.tasks import ACTIONS
from babyai_kit.errors import InvalidActionError

DEFAULT_ACTION = "go forward"
"""What is executed in place of an invalid action."""
TASK_PREFIX = "BabyAI-MixedTrainLocal-v0/"
"""In front of the five tasks in BALROG's configuration."""

_MEANINGS = {
    "turn left": "turn a quarter to your left",
    "turn right": "turn a quarter to your right",
    "go forward": "walk one cell ahead, if nothing is in the way",
    "pick up": "take the object in the cell in front of you, if your hands are free",
    "drop": "put what you carry into the cell in front of you, if it is empty",
    "toggle": "open or close the door or box in front of you; a locked door needs the key of its color",
}


class BalrogObservation(dict[str, Any]):
    """An observation in BALROG's form: `mission`, `text` and `image`.

    `text` has `long_term_context`, the observation's text, and `short_term_context`, always empty. `image`, a
    PIL image in RGB, is drawn when it is first read, and shows this observation however late that is.
    """

    def __init__(self, mission: str, text: str, picture: Callable[[], np.ndarray]) -> None:
        super().__init__(mission=mission, text={"long_term_context": text, "short_term_context": ""})
        self["image"] = _Undrawn(picture)

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, _Undrawn):
            value = self[key] = Image.fromarray(value.picture())
        return value

    # Those of dict read what is stored. With these, and __iter__, `dict(observation)` and copies draw, too.
    __eq__ = Mapping.__eq__
    __hash__ = None  # type: ignore[assignment]
    get = Mapping.get  # type: ignore[assignment]
    items = Mapping.items  # type: ignore[assignment]
    values = Mapping.values  # type: ignore[assignment]
    pop = MutableMapping.pop  # type: ignore[assignment]
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault  # type: ignore[assignment]

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _Undrawn:
    """A picture that nobody looked at yet."""

    def __init__(self, picture: Callable[[], np.ndarray]) -> None:
        self.picture = picture

    def __repr__(self) -> str:
        return "<image, drawn when read>"


class BalrogEnv(gymnasium.Wrapper):  # type: ignore[type-arg]
    """An environment as BALROG's evaluator calls it. `unwrapped` is the kit's own.

    `failed_candidates` are the answers that `check_action_validity` found invalid, since the environment was
    made.
    """

    env_name = "babyai"
    default_action = DEFAULT_ACTION

    def __init__(self, task: str, num_dists: int = 0) -> None:
        name = task.removeprefix(TASK_PREFIX) if isinstance(task, str) else task
        self._text_env = make_text_env(name, num_dists)
        super().__init__(self._text_env)
        self.task_name = task
        self.language_action_space = list(ACTIONS)
        self.actions = [action for action in Actions if action.value < len(ACTIONS)]
        self.failed_candidates: list[Any] = []
        self._mission: str | None = None
        self._progression = 0.0

    @property
    def max_steps(self) -> int:
        """Steps after which an episode is cut off."""
        return self._text_env.max_steps

    def reset(self, **kwargs: Any) -> tuple[BalrogObservation, dict[str, Any]]:
        """Start the episode of `seed`, an int >= 0, or without one the next episode; `options` are ignored.

        Raises InvalidSeedError for any other seed.
        """
        observation, info = self._text_env.reset(**kwargs)
        self._mission, self._progression = observation["mission"], 0.0
        return self._observed(observation), info

    def step(self, action: str) -> tuple[BalrogObservation, float, bool, bool, dict[str, Any]]:
        """Execute an action, one of `language_action_space`.

        Returns (observation, reward, terminated, truncated, info). Raises InvalidActionError for anything
        else, which costs no step, and StepOrderError before reset or past the end.
        """
        if not isinstance(action, str) or action not in ACTIONS:
            raise InvalidActionError(
                f"{' '.join(repr(action)[:50].split())} is not a valid action; give step() what "
                "check_action_validity() returns for it"
            )
        observation, reward, terminated, truncated, info = self._text_env.step(ACTIONS.index(action))
        self._progression = info["progression"]
        return self._observed(observation), reward, terminated, truncated, info

    def check_action_validity(self, candidate_action: Any) -> str:
        """`candidate_action` if it is an action word for word; otherwise the default action, and the
        candidate is kept in `failed_candidates`."""
        if candidate_action in self.language_action_space:
            return str(candidate_action)
        self.failed_candidates.append(candidate_action)
        return self.default_action

    def get_text_action(self, action: int) -> str:
        """The name of one of `actions`."""
        return self.language_action_space[int(action)]

    def get_instruction_prompt(self, instructions: str | None = None) -> str:
        """What tells an agent of the game and its actions. `instructions`: the mission; None: the present."""
        return instruction_prompt(self._mission if instructions is None else instructions)

    def get_stats(self) -> dict[str, Any]:
        """`mission`, and `progression`: 1.0 once a step was rewarded, otherwise 0.0."""
        return {"mission": self._mission, "progression": self._progression}

    def _observed(self, observation: dict[str, str]) -> BalrogObservation:
        return BalrogObservation(observation["mission"], observation["text"], present_view(self._text_env))


def make_env(task: str, num_dists: int = 0) -> BalrogEnv:
    """An environment with BALROG's calling convention.

    `task` is one of TASKS, also as BALROG's configuration has it ("BabyAI-MixedTrainLocal-v0/goto"), or a
    registered BabyAI level of minigrid; `num_dists` (0..16) adds objects to one of the five tasks. Raises
    UnknownTaskError or InputError, each naming what is valid.
    """
    return BalrogEnv(task, num_dists)


def instruction_prompt(mission: str | None) -> str:
    """The instruction that agents written for BALROG get, in this kit's words."""
    actions = "\n".join(f"- {name}: {_MEANINGS[name]}" for name in ACTIONS)
    return (
        f"You move through a world of square cells. Your task: {mission}.\n\n"
        f"In every turn you choose one of these actions, spelled as here:\n{actions}\n\n"
        "Every turn you are told what you see from where you stand and how many steps away it is. To deal "
        "with an object, first stand right in front of it and face it. If an action changed nothing, try "
        "another."
    )
