"""Scores that others published, as marks beside what was measured; docs/balrog.md has their links."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from babyai_kit.environment import TASKS
from babyai_kit.figures.agents import Agent
from babyai_kit.figures.chart import GREY

LEADERBOARD = {
    "Llama 3.1 8B": 0.36,
    "gpt-4o-mini": 0.504,
    "Claude 3.5 Sonnet": 0.68,
    "GPT-4o": 0.776,
    "Gemini 2.5 Pro": 0.80,
}
"""Success over the five tasks on BALROG's leaderboard, by model, from text; shares from 0 to 1."""
EXAMPLE = {"baseline": 0.56, "reasoning": 0.47, "history": 0.61, "history_and_reasoning": 0.64}
"""Success of gpt-4o-mini in TensorZero's BabyAI example, by variant."""


def are_comparable(episodes: pd.DataFrame) -> bool:
    """Whether the episodes are of BALROG's five tasks without distractors, as the published ones."""
    return set(episodes["task"]) == set(TASKS) and set(episodes["num_dists"]) == {0}


def draw_marks(axes: Axes, places: Mapping[Agent, float]) -> bool:
    """The leaderboard along the lower edge, below the last row's point; the example's in the rows of its
    variants, unless several models have such rows. Whether the example's are drawn."""
    end = axes.get_ylim()[0]
    for value in LEADERBOARD.values():
        axes.axvline(value, 0, 0.25 / end, color=GREY, linewidth=1.6)
    rows = {agent[0]: y for agent, y in places.items() if agent[0] in EXAMPLE}
    if len(rows) < sum(agent[0] in EXAMPLE for agent in places):
        return False
    for name, y in rows.items():
        axes.plot(EXAMPLE[name], y, "D", color=GREY, markerfacecolor="none", markersize=3.5, zorder=1)
    return bool(rows)


def note(example: bool) -> str:
    """What the marks are, without the full stop; `example`: those of the example, too."""
    models = ", ".join(f"{model} {100 * value:g}%" for model, value in LEADERBOARD.items())
    text = f"grey, published and not measured with this kit: strokes, BALROG's leaderboard ({models})"
    return f"{text}; small diamonds, gpt-4o-mini in TensorZero's example" if example else text
