"""The agent's view of a moment, drawn when it is wanted and not before.

Drawing costs a hundred times what a step costs, and most agents never look; but whoever looks at an earlier
observation must see that moment and not the present one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from minigrid.core.world_object import Door

from babyai_kit.environment.text_env import TextEnv

TILE_SIZE = 16
"""Pixels of a cell's side, as in BALROG: the view is 112 x 112 pixels."""


def present_view(env: TextEnv, tile_size: int = TILE_SIZE) -> Callable[[], np.ndarray]:
    """A function that draws what the agent sees now, as `env.agent_view` does, however often `env` has been
    stepped or reset since: uint8 [7 * tile_size, 7 * tile_size, 3], RGB."""
    # A door's picture is all that changes of an object itself; the others come, go and move.
    cells = [copy.copy(cell) if isinstance(cell, Door) else cell for cell in env.grid.grid]
    grid, position, direction, carrying = env.grid, env.agent_pos, env.agent_dir, env.carrying

    def draw() -> np.ndarray:
        moment = copy.copy(env)
        moment.grid = copy.copy(grid)
        moment.grid.grid = cells
        moment.agent_pos, moment.agent_dir, moment.carrying = position, direction, carrying
        return moment.agent_view(tile_size)

    return draw
