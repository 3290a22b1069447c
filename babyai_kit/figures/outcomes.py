"""One function per figure of a run's outcomes, and `save_all`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit.atomic_files import write_atomically
from babyai_kit.errors import NoSharedSeedsError, UnknownBaselineError
from babyai_kit.figures.caption import capitalized, has_value
from babyai_kit.figures.chart import Chart
from babyai_kit.figures.curves import return_profiles, success_against_steps
from babyai_kit.figures.failures import failure_classes
from babyai_kit.figures.forest import paired_differences
from babyai_kit.figures.panels import models_without, panels
from babyai_kit.figures.trade_off import success_against_cost, success_against_tokens
from babyai_kit.stats import MEASURES, finished


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
        episode_length,
        return_profiles,
        length_against_shortest,
        input_tokens,
        output_tokens,
        cost,
        success_against_tokens,
        success_against_cost,
        tokens_per_success,
        cost_per_success,
    )
}

LINE_EVERY_S = 5.0

RESTS_ON = {
    "length_against_shortest": "optimality",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost": "cost_usd",
    "success_against_tokens": "tokens",
    "success_against_cost": "cost_usd",
    "tokens_per_success": "tokens_per_success",
    "cost_per_success": "cost_per_success",
}
"""The figures whose measure may be unknown, with it."""


def known_figures(episodes: pd.DataFrame) -> dict[str, Callable[[pd.DataFrame], Chart]]:
    """FIGURES without those of what no finished episode has, such as costs where no price is known."""
    done = finished(episodes)
    unknown = {
        name
        for name, measure in RESTS_ON.items()
        if len(done) and not has_value(done, MEASURES[measure]).any()
    }
    return {name: draw for name, draw in FIGURES.items() if name not in unknown}


def unknown_measures(episodes: pd.DataFrame) -> list[str]:
    """A sentence for each thing that `known_figures` leaves out, such as a price that is not known."""
    names = [measure for name, measure in RESTS_ON.items() if name not in known_figures(episodes)]
    reasons = [models_without(episodes, MEASURES[name]) for name in names]
    return [f"{capitalized(reason)}." for reason in dict.fromkeys(reasons)]


class Counting:
    """Says how far a series of equal parts is: at its start, and then every few seconds."""

    def __init__(self, doing: str, total: int, say: Callable[[str], object]) -> None:
        self._doing = doing
        self._total = total
        self._say = say
        self._begun = 0
        self._said_at = -math.inf

    def next(self) -> None:
        """The next part begins."""
        self._begun += 1
        now = time.monotonic()
        if now - self._said_at >= LINE_EVERY_S:
            self._said_at = now
            self._say(f"{self._doing}: {self._begun} of {self._total}.")


def save_all(
    episodes: pd.DataFrame,
    folder: str | Path,
    baseline: str | Mapping[str, Any] = "baseline",
    *,
    failures: pd.DataFrame | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """Write every figure of `known_figures` as NAME.png, whole or not at all.

    The differences from `baseline` are left out of a table without it, or without another agent on its seeds.
    `failures`: the table of `load_failures`, for `failure_classes`, which is left out without it.
    `say`: told in a line how far it is, every few seconds, such as `print`.

    Raises InputError where `folder` can't be written.
    """
    paths = []
    known = known_figures(episodes)
    progress = Counting("Writing figures", len(known) + (failures is not None), say)
    for name, draw in known.items():
        progress.next()
        try:
            chart = paired_differences(episodes, baseline) if draw is paired_differences else draw(episodes)
        except (UnknownBaselineError, NoSharedSeedsError):
            continue
        paths.append(write_atomically(Path(folder) / f"{name}.png", chart.png()))
    if failures is not None:
        progress.next()
        chart = failure_classes(episodes, failures)
        paths.append(write_atomically(Path(folder) / "failure_classes.png", chart.png()))
    return paths
