"""One function per figure of a run's outcomes, and `save_all`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit.errors import NoSharedSeedsError, UnknownBaselineError
from babyai_kit.figures.chart import Chart
from babyai_kit.figures.curves import return_profiles, success_against_steps
from babyai_kit.figures.forest import paired_differences
from babyai_kit.figures.panels import panels

NO_TOKENS = "no token usage reported by {}: tokens not shown"
NO_PRICE = "no price known for {}: cost not shown"
NO_SHORTEST = "shortest way not known of these levels, played by {}"


def success_rate(episodes: pd.DataFrame) -> Chart:
    """Share of episodes that reach the goal; a cross: with errors and missing ones as failures."""
    return panels(episodes, "success", "Success rate", unit="{:.0%}", limit=1.0)


def episode_return(episodes: pd.DataFrame) -> Chart:
    """Mean return, between 0 (failure) and 1."""
    return panels(episodes, "episode_return", "Episode return", limit=1.0)


def episode_length(episodes: pd.DataFrame) -> Chart:
    """Mean steps, in which most failures count the task's maximum; open markers: of the successes alone."""
    return panels(episodes, "episode_length", "Episode length (steps)", beside="length_given_success")


def input_tokens(episodes: pd.DataFrame) -> Chart:
    """Mean prompt tokens of an episode, all its calls together."""
    return panels(episodes, "input_tokens", "Input tokens per episode", missing=NO_TOKENS)


def output_tokens(episodes: pd.DataFrame) -> Chart:
    """Mean generated tokens of an episode, all its calls together."""
    return panels(episodes, "output_tokens", "Generated tokens per episode", missing=NO_TOKENS)


def cost(episodes: pd.DataFrame) -> Chart:
    """Mean cost of an episode in US dollars."""
    return panels(episodes, "cost_usd", "Cost per episode (US dollars)", missing=NO_PRICE)


def length_against_shortest(episodes: pd.DataFrame) -> Chart:
    """Steps of the successes over the fewest possible: 1 is the shortest way."""
    title = "Steps of a success / fewest possible"
    return panels(episodes, "optimality", title, start=1.0, missing=NO_SHORTEST)


def tokens_per_success(episodes: pd.DataFrame) -> Chart:
    """Input and generated tokens of all episodes over the number of successes."""
    return panels(episodes, "tokens_per_success", "Tokens per success", missing=NO_TOKENS)


def cost_per_success(episodes: pd.DataFrame) -> Chart:
    """US dollars of all episodes over the number of successes."""
    return panels(episodes, "cost_per_success", "Cost per success (US dollars)", missing=NO_PRICE)


FIGURES: dict[str, Callable[[pd.DataFrame], Chart]] = {
    draw.__name__: draw
    for draw in (
        success_rate,
        paired_differences,
        success_against_steps,
        episode_return,
        return_profiles,
        episode_length,
        length_against_shortest,
        input_tokens,
        output_tokens,
        cost,
        tokens_per_success,
        cost_per_success,
    )
}


def save_all(
    episodes: pd.DataFrame, folder: str | Path, baseline: str | Mapping[str, Any] = "baseline"
) -> list[Path]:
    """Write every figure as NAME.png; who reads meanwhile gets the old file or the new one, never a half.

    The differences from `baseline` are left out of a table without it, or without another agent on its seeds.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in FIGURES.items():
        if name == "paired_differences":
            try:
                chart = paired_differences(episodes, baseline)
            except (UnknownBaselineError, NoSharedSeedsError):
                continue
        else:
            chart = draw(episodes)
        path, part = folder / f"{name}.png", folder / f".{name}.{os.getpid()}.part"
        try:
            part.write_bytes(chart.png())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        paths.append(path)
    return paths
