"""Tables that every figure must draw, the figures of them, and what is written in these."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from babyai_kit.environment import TASKS
from babyai_kit.figures import FIGURES, Chart, paired_differences
from babyai_kit.figures.chart import DPI
from tests.support.episode_tables import BROKEN, block, table

VARIANTS = ("baseline", "reasoning", "history", "history_and_reasoning")
HOSTILE = "fine_tuned-$x^2$-of_a\n\tvery-long/name_{b}\\that_" + 3 * "goes_on_" + 60 * "x"
LONG = "ft:gpt-4o-mini-2024-07-18:some-organisation:a-name-of-its-own:9xYzAbCd"
MEASURES = {
    "success_rate": "success",
    "episode_return": "episode_return",
    "episode_length": "episode_length",
    "length_against_shortest": "optimality",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost": "cost_usd",
    "tokens_per_success": "tokens_per_success",
    "cost_per_success": "cost_per_success",
}
"""Figures of panels, and what they show."""
OTHERS = ("paired_differences", "return_profiles", "success_against_steps")
SIMILAR = ("length_against_shortest", "tokens_per_success", "cost_per_success", "success_against_cost")
"""Drawn like the rest: tried on fewer tables."""
BASELINES: dict[str, Any] = {
    "one variant": "history",
    "one episode": "history",
    "one error": "history",
    "huge": "history",
    "ten variants": "v3",
    "two models": {"variant": "baseline", "model": "small"},
    "unknown of one": {"variant": "baseline", "model": "local"},
}
"""Of tables in which not just one agent is called baseline."""


def episodes(
    variants: tuple[str, ...] = VARIANTS, tasks: tuple[str, ...] = TASKS, error: float = 0.0, **fields: Any
) -> pd.DataFrame:
    """A table as a run of 8 seeds leaves it, with random outcomes; `error`: the share of broken episodes."""
    rng = np.random.default_rng(7)
    rows = []
    for v, variant in enumerate(variants):
        for task in tasks:
            most = 64 if task in ("goto", "pickup") else 128
            for seed in range(8):
                success = bool(rng.random() < 0.4 + 0.1 * v)
                steps = int(rng.integers(5, 40)) if success else most
                row = {"variant": variant, "task": task, "seed": seed, "success": success}
                row |= {"episode_return": 1 - 0.9 * steps / most if success else 0.0, "max_steps": most}
                row |= {"episode_length": steps, "input_tokens": 400 * steps, "cost_usd": 1e-4 * steps}
                row |= {"output_tokens": (9 + 50 * (v % 2)) * steps}
                rows.append(row | fields | (BROKEN if rng.random() < error else {}))
    return table(*rows)


TWO = TASKS[:2]
MODELS = ("openai::gpt-6-luna", "anthropic::claude-sonnet-4-5-20250929", LONG, "m4", "m5", "m6")


def of_models(variants: tuple[str, ...], models: tuple[str, ...], factor: float = 1.0) -> pd.DataFrame:
    """The same outcomes of each model; each costs `factor` times the one before."""
    tables = [episodes(variants, TWO, model=model) for model in models]
    for i, frame in enumerate(tables):
        frame["cost_usd"] *= factor**i
        frame["input_tokens"] = (frame["input_tokens"].astype(float) * (1 + 0.07 * i)).round()
    return pd.concat(tables, ignore_index=True)


UNKNOWN = {"input_tokens": None, "output_tokens": None, "cost_usd": None}
CASES = {  # drawn by every figure
    "whole": episodes(),
    "one variant": episodes(("history",)),
    "one task": episodes(tasks=("open",)),
    "errors": episodes(error=0.1),
    "only errors": episodes(error=1.0),
    "empty": table(),
    "unknown": episodes(tasks=TWO, **UNKNOWN),
    "two models": pd.concat(
        [episodes(tasks=TWO, model="small"), episodes(VARIANTS[:3], tasks=TWO, model=LONG)]
    ),
    "hostile names": episodes(("baseline", HOSTILE), ("open", HOSTILE)),
    "offline and other": pd.concat(
        [episodes(tasks=TWO, model="offline-player"), episodes(("history",), tasks=TWO)]
    ),
}
ALIKE = ("episode_return", "input_tokens", "output_tokens")
"""Drawn as `success_rate` is: most of these tables are left to the long tests."""
OF_ALIKE = [(name, case) for name in ALIKE for case in CASES if case not in ("whole", "hostile names")]
USUAL = ("unknown", "one variant", "offline and other")
"""Nothing special to a curve or a difference."""
DRAWN: list[Any] = [
    (n, c) for n in FIGURES for c in CASES if n not in SIMILAR and not (n in OTHERS and c in USUAL)
]
DRAWN += [(name, case) for name in SIMILAR for case in ("whole", "unknown", "two models")]
for case, frame, names in (
    ("offline", episodes(model="offline-player"), ("success_rate", "cost", *OTHERS)),
    ("unfinished", episodes().drop(index=range(0, 160, 11)), ("success_rate", "episode_length", *OTHERS)),
    (
        "one episode",
        episodes(("history",), ("open",))[:1],
        ("success_rate", "input_tokens", "success_against_tokens", *OTHERS),
    ),
    ("one error", episodes(("history",), ("open",), error=1.0)[:1], ("success_rate",)),
    (
        "no success",
        pd.concat([block(np.zeros((3, 5)), variant=v) for v in VARIANTS[:2]]),
        ("success_rate", "episode_length", *SIMILAR, *OTHERS),
    ),
    ("one success", block([[1, 0], [0, 0], [0, 0], [0, 0]]), (*SIMILAR,)),
    (
        "two levels",
        pd.concat([episodes(tasks=TWO, num_dists=n) for n in (0, 8)]),
        ("episode_return", *OTHERS),
    ),
    ("ten variants", episodes(tuple(f"v{i}" for i in range(10)), ("open",)), ("episode_length", *OTHERS)),
    (
        "unknown of one",
        pd.concat([episodes(tasks=TWO, model="priced"), episodes(tasks=TWO, model="local", **UNKNOWN)]),
        ("output_tokens", "cost", "success_against_tokens"),
    ),
    (
        "unknown of long",
        pd.concat([episodes(tasks=TWO, model=model, **UNKNOWN) for model in (LONG, LONG[::-1])]),
        ("input_tokens", "cost", "success_against_cost"),
    ),
    ("huge", episodes(("history",), input_tokens=12_345_678, cost_usd=1234.5), ("input_tokens", "cost")),
    ("tiny", episodes(("history",), output_tokens=1, cost_usd=1.25e-6), ("output_tokens", "cost")),
):
    CASES[case] = frame
    DRAWN += [(name, case) for name in names]
DRAWN = [pytest.param(*at, marks=[pytest.mark.long] if at in OF_ALIKE else []) for at in DRAWN]


@cache
def figure_of(name: str, case: str) -> Chart:
    """The figure, laid out at the resolution of its picture. To look at, not to change."""
    if name == "paired_differences":
        figure = paired_differences(CASES[case], BASELINES.get(case, "baseline"))
    else:
        figure = FIGURES[name](CASES[case])
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    return figure


def caption_of(figure: Chart) -> str:
    """The caption, in one line."""
    return " ".join(figure.get_supxlabel().split())


def texts_of(figure: Chart) -> dict[Text, Bbox]:
    """Every text that is drawn, and where; a tick outside the axis has a label that is not."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            hidden |= {
                t.label1 for t in axis.get_major_ticks() if not low <= t.get_loc() <= high or not axes.axison
            }
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]
    return {text: Text.get_window_extent(text) for text in texts}  # without an annotation's line
