"""The game in a picture, for those who have not seen it: a level, and what the agent sees of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import InputError
from babyai_kit.figures.chart import Chart, fold, plain

if TYPE_CHECKING:
    from gymnasium import Env

TILE = 32
"""Pixels along a cell."""
SIDE = 2.8
"""Inches of the agent's view, and the height of the level."""
TITLES = (
    "The level from above: the red triangle is the\nagent, and what it sees is lit",
    "What the agent sees, turned so that\nit looks up: 6 steps ahead, 3 to each side",
)


def game(env: Env[Any, Any]) -> Chart:
    """The level of `env` as it is now, from above and as the agent sees it.

    Raises InputError for an environment of others, and StepOrderError before the first reset.
    """
    level = env.unwrapped
    if not isinstance(level, TextEnv):
        raise InputError("figures.game draws an environment that make_env made; pass one of these")
    view = level.agent_view(TILE)
    whole = level.get_frame(highlight=True, tile_size=TILE)
    ratio = whole.shape[1] / whole.shape[0]
    figure = Chart(figsize=(SIDE * (ratio + 1) + 0.4, SIDE + 0.6), layout="constrained")
    both = figure.subplots(1, 2, width_ratios=[ratio, 1])
    for axes, pixels, title in zip(both, (whole, view), TITLES, strict=True):
        axes.imshow(pixels)
        axes.set_title(title, fontsize=8, loc="left")
        axes.set_axis_off()
    mission = plain(fold(f"Mission: {level.mission}", 60))
    figure.suptitle(mission, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure
