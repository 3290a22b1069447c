"""Forest plot: how every agent differs from the baseline, paired by seed; a row per task and agent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from babyai_kit.figures.agents import agents_of, folded, label_of, styles_of, tasks_of
from babyai_kit.figures.caption import count, ending, known_of, watermark
from babyai_kit.figures.chart import STYLE, WIDTH, Chart, frame, plain, words
from babyai_kit.stats import ALL_TASKS, compare

NAMES = {
    "success": ("success rate", "points", 100, 1),
    "episode_return": ("episode return", "", 1, 2),
    "episode_length": ("episode length", "steps", 1, 1),
    "length_given_success": ("length of successes", "steps", 1, 1),
    "optimality": ("steps of successes over the shortest way", "", 1, 2),
    "input_tokens": ("input tokens per episode", "", 1, 0),
    "output_tokens": ("generated tokens per episode", "", 1, 0),
    "cost_usd": ("cost per episode", "US dollars", 1, 5),
    "tokens_per_success": ("tokens per success", "", 1, 0),
    "cost_per_success": ("cost per success", "US dollars", 1, 5),
}
"""Measure: (name, unit, factor, decimals)."""

GREY = "#666666"
FOLD = 26
"""Characters of a row's name in one line."""


def paired_differences(
    episodes: pd.DataFrame, baseline: str | Mapping[str, Any] = "baseline", measure: str = "success"
) -> Chart:
    """Differences of `measure` (of stats.MEASURES) from `baseline`, as `stats.compare` gives them.

    Raises what `compare` raises, such as UnknownBaselineError.
    """
    name, unit, factor, decimals = NAMES.get(measure, (measure, "", 1, 2))
    if not len(episodes):
        return _empty("no episodes", name, episodes)
    table = compare(episodes, baseline, measures=[measure])
    if table.empty:
        return _empty(f"no other agent than {baseline}", name, episodes)
    if table["difference"].isna().all():
        reasons = sorted({kind.removeprefix("none: ") for kind in table["interval"]})
        return _empty(" or ".join(reasons), name, episodes)
    if table["task"].nunique() == 2:
        table = table[table["task"] != ALL_TASKS]
    columns = list(table.columns)
    keys = columns[columns.index("task") + 1 : columns.index("baseline")]
    with rc_context(STYLE):
        figure, axes = _layout(table, keys)
        _rows(axes, table, keys, factor, decimals)
        _scale(axes, table, factor, decimals)
        label = f"{name}, difference from {table['baseline'].iloc[0]}" + (f" ({unit})" if unit else "")
        title = plain(label[0].upper() + label[1:])
        frame(figure, title, _caption(episodes, table, measure, factor, decimals), watermark(episodes))
    return figure


def _empty(why: str, name: str, episodes: pd.DataFrame) -> Chart:
    with rc_context(STYLE):
        figure = words(why)
        finished = int((episodes["status"] == "ok").sum())
        text = f"{count(finished, 'finished episode')}. {ending(episodes)}"
        frame(figure, f"{name[0].upper()}{name[1:]}, difference", text, watermark(episodes))
    return figure


def _places(
    table: pd.DataFrame, keys: list[str]
) -> tuple[dict[str, float], dict[tuple[str, Any], float], float]:
    """Height of every task's heading, of every (task, agent), and of all, by the lines of their names."""
    headings, rows, y = {}, {}, 0.0

    def place(name: str) -> float:
        nonlocal y
        half = 0.1 + 0.43 * (1 + name.count("\n"))
        y += 2 * half
        return y - half

    for task in tasks_of(table):
        headings[task] = place(folded(task, FOLD))
        for agent in agents_of(table, keys):
            rows[task, agent] = place(label_of(agent, keys))
    return headings, rows, y


def _layout(table: pd.DataFrame, keys: list[str]) -> tuple[Chart, Axes]:
    headings, rows, end = _places(table, keys)
    figure = Chart(figsize=(WIDTH, 1.1 + 0.19 * end), layout="constrained")
    axes = figure.add_subplot(label=ALL_TASKS)
    axes.set_ylim(end, 0)
    axes.patch.set_visible(False)  # lets the watermark shine through from behind the data
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axvline(0, color="black", linewidth=0.9, zorder=1)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, pad=6)
    at = [(y, folded(task, FOLD), True) for task, y in headings.items()]
    at += [(y, label_of(agent, keys), False) for (_, agent), y in rows.items()]
    axes.set_yticks([y for y, _, _ in at], [text if not bold else plain(text) for _, text, bold in at])
    for tick, (_, _, bold) in zip(axes.get_yticklabels(), at, strict=True):
        tick.set_fontweight("bold" if bold else "normal")
    return figure, axes


def _rows(axes: Axes, table: pd.DataFrame, keys: list[str], factor: float, decimals: int) -> None:
    """Point, line and figures of every row."""
    styles = styles_of(agents_of(table, keys))
    headings, places, _ = _places(table, keys)
    by_agent = {(row["task"], tuple(row[k] for k in keys)): row for row in table.to_dict("records")}
    aside = axes.get_yaxis_transform()
    heading = "difference  [95% interval]  p"
    axes.text(
        1.02, min(headings.values()), heading, transform=aside, va="center", fontsize=7.5, fontweight="bold"
    )
    for (task, agent), y in places.items():
        row = by_agent.get((task, agent))
        why = "no episodes" if row is None else row["interval"].removeprefix("none: ")
        if row is None or math.isnan(row["difference"]):
            axes.text(1.02, y, why, transform=aside, va="center", fontsize=7.5, color=GREY)
            continue
        colour, marker = styles[agent]
        value, low, high = (factor * row[name] for name in ("difference", "low", "high"))
        axes.errorbar(
            value,
            y,
            xerr=None if not math.isfinite(high - low) else [[value - low], [high - value]],
            label=", ".join(map(str, (task, *agent))),
            fmt=marker,
            color=colour,
            markersize=6.5 if task == ALL_TASKS else 5,
            elinewidth=1.8 if task == ALL_TASKS else 1.2,
            capsize=2.5,
        )
        text = f"{value:+,.{decimals}f}"
        if not math.isnan(low):
            text += f"  [{low:+,.{decimals}f}, {high:+,.{decimals}f}]"
        if not math.isnan(row["p_holm"]):
            text += "  p < .001" if row["p_holm"] < 0.001 else f"  p = {row['p_holm']:.3f}"
        axes.text(1.02, y, text, transform=aside, va="center", fontsize=7.5)


def _scale(axes: Axes, table: pd.DataFrame, factor: float, decimals: int) -> None:
    ends = factor * table[["difference", "low", "high"]].replace([np.inf, -np.inf], np.nan)
    low, high = min(ends.min().min(), 0.0), max(ends.max().max(), 0.0)
    edge = 0.04 * (high - low) or 1.0
    axes.set_xlim(low - edge, high + edge)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+,.10g}" if x else "0"))


def _caption(episodes: pd.DataFrame, table: pd.DataFrame, measure: str, factor: float, decimals: int) -> str:
    known = table[table["difference"].notna()]
    kinds = " or ".join(sorted(set(known["interval"])))
    tests = " or ".join(sorted(set(known["test"]) - {"none"}))
    first = known[known["task"] == tasks_of(known)[0]]
    least, most = int(first["n_seeds"].min()), int(first["n_seeds"].max())
    where = "every task" if first["task"].iloc[0] == ALL_TASKS else "it"
    parts = [f"Paired by seed; lines: 95% intervals ({kinds})."]
    parts.append(f"p: {tests or 'none'}, corrected over agents (Holm), as the intervals are not.")
    parts.append(f"n={f'{least} to ' * (least < most)}{count(most, 'seed')} on which both finished {where}.")
    if first["detectable"].notna().any():
        a, b = (f"{factor * edge(first['detectable']):,.{decimals}f}" for edge in (min, max))
        parts.append(f"True differences of {a if a == b else f'{a} to {b}'} are found with 80% power.")
    finished = episodes[episodes["status"] == "ok"]
    if unknown := int((~known_of(finished, measure)).sum()):
        parts.append(f"{count(unknown, 'episode')} without a value.")
    return " ".join([*parts, ending(episodes)])
