"""One function per figure of a run's outcomes, and `save_all`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit.atomic_files import write_atomically
from babyai_kit.errors import NoSharedSeedsError, UnknownBaselineError
from babyai_kit.figures.chart import Chart
from babyai_kit.figures.curves import return_profiles, success_against_steps
from babyai_kit.figures.forest import paired_differences
from babyai_kit.figures.panels import panels


def success_rate(episodes: pd.DataFrame) -> Chart:
    """Share of episodes that reach the goal; a cross: with errors and missing episodes as failures."""
    return panels(episodes, "success")


def episode_return(episodes: pd.DataFrame) -> Chart:
    """Mean return, between 0 (failure) and 1."""
    return panels(episodes, "episode_return")


def episode_length(episodes: pd.DataFrame) -> Chart:
    """Mean steps, in which most failures count the task's maximum; open markers: of the successes alone."""
    return panels(episodes, "episode_length", beside="length_given_success")


def input_tokens(episodes: pd.DataFrame) -> Chart:
    """Mean prompt tokens of an episode, all its calls together."""
    return panels(episodes, "input_tokens")


def output_tokens(episodes: pd.DataFrame) -> Chart:
    """Mean generated tokens of an episode, all its calls together."""
    return panels(episodes, "output_tokens")


def cost(episodes: pd.DataFrame) -> Chart:
    """Mean cost of an episode in US dollars."""
    return panels(episodes, "cost_usd")


def length_against_shortest(episodes: pd.DataFrame) -> Chart:
    """Steps of the successes over those of the shortest path: 1 is the shortest."""
    return panels(episodes, "optimality")


def tokens_per_success(episodes: pd.DataFrame) -> Chart:
    """Input and output tokens of all episodes over the number of successes."""
    return panels(episodes, "tokens_per_success")


def cost_per_success(episodes: pd.DataFrame) -> Chart:
    """US dollars of all episodes over the number of successes."""
    return panels(episodes, "cost_per_success")


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
    """Write every figure as NAME.png, whole or not at all.

    The differences from `baseline` are left out of a table without it, or without another agent on its seeds.
    Raises InputError where `folder` can't be written.
    """
    paths = []
    for name, draw in FIGURES.items():
        try:
            chart = paired_differences(episodes, baseline) if draw is paired_differences else draw(episodes)
        except (UnknownBaselineError, NoSharedSeedsError):
            continue
        paths.append(write_atomically(Path(folder) / f"{name}.png", chart.png()))
    return paths
