"""A BabyAI level of minigrid whose observations are text: the protocol of an episode.

What is observed, which actions and seeds are accepted, when a step is allowed, and the agent's pictures.
Physics, success and rewards are minigrid's; how a level is drawn is left to its class, and the wording to
`text`.
"""

from __future__ import annotations

import operator
import string
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from minigrid.core.roomgrid import RoomGrid
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling, RoomGridLevel
from minigrid.envs.babyai.core.verifier import Instr

from babyai_kit.environment.tasks import ACTIONS
from babyai_kit.environment.text import STEP, VIEW_SIZE, describe, view_from
from babyai_kit.errors import InputError, InvalidActionError, InvalidSeedError, StepOrderError

Observation = dict[str, str]

CHARACTERS = string.ascii_letters + string.digits + " ,\n"
MAX_MISSION = 512
"""Characters; the longest mission of any level has four objects and about 320."""
MAX_TEXT = 4096
"""Characters; 48 objects of 50 characters and three walls stay below it."""
RENDER_MODES = (None, "rgb_array")


class TextEnv(RoomGridLevel):
    """A level with observations {"mission": str, "text": str} and the six actions of `ACTIONS`.

    `info["progression"]` is 0.0 until a step was rewarded and 1.0 from then on. Besides minigrid's own
    attributes: `max_steps`, the episode's length limit in steps, `agent_dir`, 0 right, 1 down, 2 left, 3
    up, and `last_action`. Episodes depend on the seed and the actions alone. Nothing is printed.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    instrs: Instr
    level_id: str
    see_through: ClassVar[bool] = False
    """Whether walls and doors never hide anything that the text mentions."""

    def __init__(self, *, render_mode: str | None = None, **settings: Any) -> None:
        if render_mode not in RENDER_MODES:
            raise InputError(f"{render_mode!r} is not a valid render_mode; use None or 'rgb_array'")
        self._running = False
        self._played = False
        self._progression = 0.0
        self.last_action: int | None = None
        super().__init__(render_mode=render_mode, **settings)
        self.action_space = spaces.Discrete(len(ACTIONS))
        self.observation_space = spaces.Dict(
            mission=spaces.Text(MAX_MISSION, min_length=0, charset=CHARACTERS),
            text=spaces.Text(MAX_TEXT, min_length=0, charset=CHARACTERS),
        )

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the episode of `seed`, an int >= 0 of any size, or without a seed the next episode.

        `options` are accepted and ignored. Raises InvalidSeedError for any other seed, numpy integers
        and bools included.
        """
        if seed is not None and (type(seed) is not int or seed < 0):
            raise InvalidSeedError(
                f"{seed!r} is not a valid seed; pass a Python int >= 0, or None for the next episode"
            )
        self._running = False
        super().reset(seed=seed)
        x, y = self.agent_pos
        self.agent_pos = (int(x), int(y))
        self.agent_dir = int(self.agent_dir)
        self._running = self._played = True
        self._progression = 0.0
        self.last_action = None
        # After the level's own reset, which may still hand an object to the agent.
        return self.gen_obs(), {"progression": 0.0}

    def step(  # type: ignore[override]
        self, action: int
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Execute an action, an integer in 0..5 (numpy's too).

        Returns (observation, reward, terminated, truncated, info). The reward is 1 - 0.9 * steps /
        max_steps on success and the int 0 otherwise. `terminated`: success (or, in levels that have it,
        failure); `truncated`: max_steps are used up; success on the last step sets both.
        Raises InvalidActionError, which costs no step, and StepOrderError before reset or past the end.
        """
        if type(action) is not int:
            action = _integer(action)
        if not 0 <= action < len(ACTIONS):
            raise _invalid(action)
        if not self._running:
            raise StepOrderError(
                "the episode has ended; call reset() to start another"
                if self._played
                else "no episode has started; call reset(seed=...) before step()"
            )
        observation, reward, terminated, truncated, _ = super().step(action)
        self.last_action = action
        if terminated or truncated:
            self._running = False
        if reward > 0:
            self._progression = 1.0
        return observation, reward, terminated, truncated, {"progression": self._progression}

    def gen_obs(self) -> Observation:
        """The observation of the present state, in place of minigrid's encoded picture."""
        x, y = self.agent_pos
        grid = self.grid
        view = view_from(grid.width, grid.height, x, y, self.agent_dir)
        text = describe(grid.grid, view, self.carrying, see_through=self.see_through)
        return {"mission": self.mission, "text": text}

    def agent_view(self, tile_size: int = 16) -> np.ndarray:
        """The agent's picture, rendered now: uint8 [7 * tile_size, 7 * tile_size, 3], RGB.

        Shows the same 7 x 7 cells as the text, the visible ones highlighted, and what is carried in the
        agent's cell. Raises StepOrderError before the first reset.
        """
        if type(tile_size) is not int or tile_size < 1:
            raise InputError(f"{tile_size!r} is not a valid tile_size; pass a number of pixels, an int >= 1")
        if not self._played:
            raise StepOrderError("there is nothing to show yet; call reset(seed=...) before agent_view()")
        picture: np.ndarray = self.get_pov_render(tile_size)
        assert picture.shape == (VIEW_SIZE * tile_size, VIEW_SIZE * tile_size, 3)
        return picture

    def render(self) -> np.ndarray | None:
        """With render_mode "rgb_array" the whole grid, uint8 [height, width, 3]; otherwise None."""
        if not self._played:
            raise StepOrderError("there is nothing to show yet; call reset(seed=...) before render()")
        picture: np.ndarray | None = super().render()
        return picture

    @property
    def running(self) -> bool:
        """Whether step() is allowed now."""
        return self._running

    @property
    def front_pos(self) -> tuple[int, int]:
        """The cell in front of the agent, as ints: minigrid's arrays cost more than the move itself."""
        x, y = self.agent_pos
        dx, dy = STEP[self.agent_dir]
        return x + dx, y + dy

    def _gen_grid(self, width: int, height: int) -> None:
        """Draw levels until one is valid: minigrid's loop without what it prints to stdout."""
        while True:
            try:
                RoomGrid._gen_grid(self, width, height)
                self.gen_mission()
                self.validate_instrs(self.instrs)
            except (RecursionError, RejectSampling):
                continue
            break
        self.mission = self.surface = self.instrs.surface(self)


def _integer(action: Any) -> int:
    if isinstance(action, bool | np.bool_):
        raise _invalid(action)
    try:
        return operator.index(action)
    except TypeError:
        raise _invalid(action) from None


def _invalid(action: Any) -> InvalidActionError:
    valid = ", ".join(f"{index} {name}" for index, name in enumerate(ACTIONS))
    name = repr(action) if len(repr(action)) < 50 else f"an object of type {type(action).__name__}"
    return InvalidActionError(f"{' '.join(name.split())} is not a valid action; use one of {valid}")
