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

from babyai_kit.figures.agents import agents_of, lineup, name_of, rows_by_agent, styles_of, tasks_of
from babyai_kit.figures.caption import (
    capitalized,
    closing,
    count,
    has_value,
    kinds_by_panel,
    seeds,
    watermark,
)
from babyai_kit.figures.chart import (
    GREY,
    STYLE,
    WIDTH,
    Chart,
    add_grid,
    annotate_row,
    frame,
    notice,
)
from babyai_kit.figures.model_names import short_names
from babyai_kit.figures.panels import missing, readable
from babyai_kit.figures.rows import Rows, rows_for
from babyai_kit.stats import (
    ALL_TASKS,
    Measure,
    agent_columns,
    compare,
    finished,
    measure_of,
    p_value_text,
    reasons,
)

TEXT_LEFT = 1.02
"""Where the figures beside the rows begin, in widths of the axes."""


def paired_differences(
    episodes: pd.DataFrame, baseline: str | Mapping[str, Any] = "baseline", measure: str = "success"
) -> Chart:
    """Differences of `measure` (of stats.MEASURES) from `baseline`, as `stats.compare` gives them.

    Raises what `compare` raises, such as UnknownBaselineError.
    """
    definition = measure_of(measure)
    if not len(episodes):
        return _notice("no episodes", definition, episodes)
    table = compare(episodes, baseline, measures=[measure])
    if table.empty:
        return _notice(f"no agent to compare with {baseline}", definition, episodes)
    if table["difference"].isna().all():
        return _notice(" or ".join(reasons(table["interval"])), definition, episodes)
    if table["task"].nunique() == 2:  # one task, and the same as all tasks
        table = table[table["task"] != ALL_TASKS]
    keys = agent_columns(table)
    short = short_names(map(str, episodes["model"]))
    base = ", ".join(short.get(part, part) for part in str(table["baseline"].iloc[0]).split(", "))
    title = f"{capitalized(definition.label)}, difference from {base}"
    if definition.difference_unit:
        title += f" ({definition.difference_unit})"
    with rc_context(STYLE):
        table = readable(table, keys)
        places = rows_for(lineup(table, keys), tasks_of(table))
        figure, axes = _layout(places)
        _draw(axes, table, keys, places, definition)
        _scale(axes, table, definition)
        frame(figure, title, _caption(episodes, table, definition), watermark(episodes))
    return figure


def _notice(reason: str, measure: Measure, episodes: pd.DataFrame) -> Chart:
    with rc_context(STYLE):
        figure = notice(reason)
        text = f"{count(len(finished(episodes)), 'finished episode')}. {closing(episodes)}"
        frame(figure, f"{capitalized(measure.label)}, difference", text, watermark(episodes))
    return figure


def _layout(rows: Rows) -> tuple[Chart, Axes]:
    figure = Chart(figsize=(WIDTH, 1.1 + 0.19 * rows.end), layout="constrained")
    axes = figure.add_subplot(label=ALL_TASKS)
    add_grid(axes, "x")
    axes.axvline(0, color="black", linewidth=0.9, zorder=1)
    axes.spines["left"].set_visible(False)
    rows.label(axes)
    return figure, axes


def _draw(axes: Axes, table: pd.DataFrame, keys: list[str], places: Rows, measure: Measure) -> None:
    """Point, line and figures of every row."""
    styles = styles_of(agents_of(table, keys))
    rows = rows_by_agent(table, ["task", *keys])
    top = min(y for y, _ in places.headings)
    annotate_row(axes, TEXT_LEFT, top, "difference  [95% interval]  Holm's p", fontweight="bold")
    for (task, agent), y in places.agents.items():
        row = rows.get((task, *agent))
        if row is None or math.isnan(row["difference"]):
            annotate_row(axes, TEXT_LEFT, y, missing(row), color=GREY)
            continue
        colour, marker = styles[agent]
        value, low, high = (measure.factor * row[name] for name in ("difference", "low", "high"))
        axes.errorbar(
            value,
            y,
            xerr=[[value - low], [high - value]] if math.isfinite(high - low) else None,
            label=name_of((task, *agent)),
            fmt=marker,
            color=colour,
            markersize=6.5 if task == ALL_TASKS else 5,
            elinewidth=1.8 if task == ALL_TASKS else 1.2,
            capsize=2.5,
        )
        annotate_row(axes, TEXT_LEFT, y, _figures(row, measure))


def _figures(row: Mapping[Any, Any], measure: Measure) -> str:
    text = measure.difference(row["difference"])
    if not math.isnan(row["low"]):
        text += f"  [{measure.difference(row['low'])}, {measure.difference(row['high'])}]"
    if not math.isnan(row["p_holm"]):
        p = p_value_text(row["p_holm"])
        text += f"  p {p}" if p.startswith("<") else f"  p = {p}"
    return text


def _scale(axes: Axes, table: pd.DataFrame, measure: Measure) -> None:
    ends = measure.factor * table[["difference", "low", "high"]].replace([np.inf, -np.inf], np.nan)
    low, high = min(ends.min().min(), 0.0), max(ends.max().max(), 0.0)
    margin = 0.04 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+,.10g}" if x else "0"))


def _caption(episodes: pd.DataFrame, table: pd.DataFrame, measure: Measure) -> str:
    known = table[table["difference"].notna()]
    kinds, tests = kinds_by_panel(known, "interval"), kinds_by_panel(known[known["test"] != "none"], "test")
    task = tasks_of(known)[0]
    first = known[known["task"] == task]
    every_task = " every task" if task == ALL_TASKS else ""
    parts = [f"Paired by seed; lines: 95% intervals ({kinds}), not corrected."]
    parts.append(f"Holm's p: {tests}, corrected over agents.")
    parts.append(f"{seeds(first)} on which both agents finished{every_task}.")
    if first["detectable"].notna().any():
        least, most = (measure.number(first["detectable"].agg(end)) for end in ("min", "max"))
        ends = least if least == most else f"{least} to {most}"
        parts.append(f"Smallest true difference found with 80% power: {ends}.")
    if unknown := int((~has_value(finished(episodes), measure)).sum()):
        parts.append(f"{count(unknown, 'episode')} without a value.")
    return " ".join([*parts, closing(episodes)])
