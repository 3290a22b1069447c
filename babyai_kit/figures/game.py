"""The game in a picture, for those who have not seen it: a level, and what the agent sees of it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import InputError
from babyai_kit.figures.chart import Chart, fold, plain

if TYPE_CHECKING:
    from gymnasium import Env

TILE = 32
"""Pixels along a cell."""
SIDE = 1.9
"""Inches of the agent's view, and the height of the level: small, so that its captions are legible where the
picture is shrunk to a telephone's width."""
MARGIN = 0.06
FONT_SIZE = 11
CHARACTERS = 12.5
"""Of a caption, in an inch."""
TITLES = (
    "From above: the red triangle is the agent, and what it sees is lit",
    "The agent's view, turned to look up: 6 ahead, 3 to each side",
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
    width = SIDE * (ratio + 1) + 0.4
    titles = [
        textwrap.wrap(title, int(CHARACTERS * SIDE * of_height))
        for title, of_height in zip(TITLES, (ratio, 1), strict=True)
    ]
    mission = fold(f"Mission: {level.mission}", int(10 * width))
    height = SIDE + 0.3 + 0.19 * max(map(len, titles)) + 0.21 * (mission.count("\n") + 1)
    figure = Chart(figsize=(width, height))
    lefts = (MARGIN, width - SIDE - MARGIN)
    for left, pixels, title in zip(lefts, (whole, view), titles, strict=True):
        across = SIDE * pixels.shape[1] / pixels.shape[0]
        axes = figure.add_axes((left / width, MARGIN / height, across / width, SIDE / height))
        axes.imshow(pixels)
        axes.set_title("\n".join(title), fontsize=FONT_SIZE, loc="left")
        axes.set_axis_off()
    figure.suptitle(
        plain(mission),
        x=MARGIN / width,
        y=1 - MARGIN / height,
        ha="left",
        va="top",
        fontsize=FONT_SIZE + 1,
        fontweight="bold",
    )
    return figure
