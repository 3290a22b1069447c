"""Success against what it takes: a point with both intervals per agent, and the Pareto front."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from babyai_kit.figures.agents import Lineup, keys_of, lineup, rows_by_agent, styles_of
from babyai_kit.figures.caption import capitalized, closing, count, has_value, kinds_of, sample, watermark
from babyai_kit.figures.chart import GREY, STYLE, WIDTH, Chart, add_grid, dark, fold, frame, notice, plain
from babyai_kit.figures.label_places import Tag, place_tags
from babyai_kit.figures.panels import models_without
from babyai_kit.stats import DOLLARS, Measure, finished, measure_of, reasons, trade_off

MAX_FACTOR = 10.0
"""Where the largest value is more than so many times the smallest, the scale is logarithmic."""


def success_against_tokens(episodes: pd.DataFrame) -> Chart:
    """Success rate against the tokens of an episode, input and output together; a point per agent."""
    return _figure(episodes, "tokens")


def success_against_cost(episodes: pd.DataFrame) -> Chart:
    """Success rate against the cost of an episode in US dollars; a point per agent."""
    return _figure(episodes, "cost_usd")


def _figure(episodes: pd.DataFrame, name: str) -> Chart:
    measure = measure_of(name)
    table = trade_off(episodes, name, keys_of(episodes))
    keys = list(table.columns[: list(table.columns).index("value")])
    drawn = table[table["value"].notna() & table["success"].notna()]
    title = f"Success against {measure.label}"
    with rc_context(STYLE):
        if drawn.empty:
            kinds = [*table["interval"], *table["success_interval"]]
            reason = " or ".join(reasons(kinds)) if len(episodes) else "no episodes"
            figure = notice(models_without(episodes, measure) or reason)
            frame(figure, title, _caption(episodes, drawn, table, measure), watermark(episodes))
            return figure
        agents = lineup(drawn, keys)
        figure = Chart(figsize=(WIDTH, 3.6 + 0.14 * len(agents.agents)), layout="constrained")
        axes = figure.add_subplot()
        _scale(axes, drawn, measure)
        _draw(axes, drawn, agents)
        if agents.is_grouped:
            _legend(axes, agents)
        frame(figure, title, _caption(episodes, drawn, table, measure), watermark(episodes))
        figure.draw_without_rendering()  # so that the axes are where they will be
        place_tags(axes, *_tags(drawn, agents))
    return figure


def _scale(axes: Axes, drawn: pd.DataFrame, measure: Measure) -> None:
    smallest, largest = drawn["value"].min(), drawn["value"].max()
    ends = drawn[["value", "low", "high"]]
    if smallest > 0 and largest > MAX_FACTOR * smallest:
        axes.set_xscale("log")
        axes.set_xlim(ends.min().min() / 1.5, ends.max().max() * 1.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if largest > 200 * smallest else (1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        note = ", logarithmic"
    else:
        axes.set_xlim(0, 1.15 * ends.max().max() or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        note = ""
    sign = r"\$" if measure.unit == DOLLARS else ""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{sign}{x:,.10g}"))
    axes.set_xlabel(measure.heading + note)
    low, high = drawn[["success", "success_low"]].min().min(), drawn[["success", "success_high"]].max().max()
    margin = max(0.06 * (high - low), 0.1 - (high - low) / 2)
    axes.set_ylim(max(low - margin, -0.03), min(high + margin, 1.03))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}" if 0 <= round(y, 6) <= 1 else ""))
    axes.set_ylabel("success rate")
    add_grid(axes, "both")


def _draw(axes: Axes, drawn: pd.DataFrame, agents: Lineup) -> None:
    front = _front(drawn)
    axes.plot(
        front["value"],
        front["success"],
        drawstyle="steps-post",
        color=GREY,
        linewidth=1,
        zorder=1,
        label="front",
    )
    styles, rows = styles_of(agents.agents), rows_by_agent(drawn, agents.keys)
    for agent in agents.agents:
        row, (colour, marker) = rows[agent], styles[agent]
        axes.errorbar(
            row["value"],
            row["success"],
            xerr=_reach(row, "value", "low", "high"),
            yerr=_reach(row, "success", "success_low", "success_high"),
            label=agents.name(agent),
            fmt=marker,
            color=colour,
            markerfacecolor=colour if row["on_front"] else "white",
            markersize=6,
            elinewidth=0.9,
            ecolor=(colour, 0.55),
            capsize=0,
        )


def _reach(row: dict[Any, Any], value: str, low: str, high: str) -> list[list[float]] | None:
    """Both lengths of an interval, as errorbar takes them; None without an interval."""
    return None if math.isnan(row[low]) else [[row[value] - row[low]], [row[high] - row[value]]]


def _legend(axes: Axes, agents: Lineup) -> None:
    """The variants' colours, above the axes."""
    styles = styles_of(agents.agents)
    colours = {agent[0]: styles[agent][0] for agent in agents.agents}
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=plain(fold(str(variant), 40)))
        for variant, colour in colours.items()
    ]
    columns = max(1, int(90 / (4 + max(len(str(variant)) for variant in colours))))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=8,
        handletextpad=0.1,
        columnspacing=1.2,
        borderpad=0.1,
    )


def _tags(drawn: pd.DataFrame, agents: Lineup) -> tuple[list[Tag], list[Bbox]]:
    """What is written, and the lines that it avoids: of the intervals, and of the front."""
    styles, rows = styles_of(agents.agents), rows_by_agent(drawn, agents.keys)
    tags, lines = [], []
    for agent in agents.agents:
        row = rows[agent]
        x, y = row["value"], row["success"]
        tags.append(Tag(agents.tag(agent), x, y, dark(styles[agent][0])))
        if not math.isnan(row["low"]):
            lines.append(Bbox([[row["low"], y], [row["high"], y]]))
        if not math.isnan(row["success_low"]):
            lines.append(Bbox([[x, row["success_low"]], [x, row["success_high"]]]))
    front = _front(drawn)[["value", "success"]].to_numpy()
    for (x, y), (next_x, next_y) in pairwise(front):
        lines += [Bbox([[x, y], [next_x, y]]), Bbox([[next_x, y], [next_x, next_y]])]
    return tags, lines


def _front(drawn: pd.DataFrame) -> pd.DataFrame:
    """The agents on the Pareto front, the most frugal first."""
    return drawn[drawn["on_front"]].sort_values(["value", "success"])


def _caption(episodes: pd.DataFrame, drawn: pd.DataFrame, table: pd.DataFrame, measure: Measure) -> str:
    done = finished(episodes)
    note = capitalized(models_without(episodes, measure))
    notes = [f"{note}."] if note else []
    if drawn.empty:
        return f"{count(len(done), 'finished episode')}. {closing(episodes)}"
    unit = "cost" if measure.unit == DOLLARS else measure.name
    parts = [
        f"Points: means; lines: 95% intervals ({unit}: {kinds_of(drawn['interval'])}; "
        f"success: {kinds_of(drawn['success_interval'])})."
    ]
    if len(table) > 1:
        parts.append(
            "Filled points and stepped line: the Pareto front, the agents that no other beats in both means."
        )
    n_known = int(has_value(done, measure).sum())
    parts.append(f"{sample(drawn, n_known, episodes['task'].nunique() > 1)}.")
    if n_known < len(done):
        parts.append(f"{count(len(done) - n_known, 'episode')} without a value.")
    if missing := len(table) - len(drawn) - _unknown(table):
        parts.append(f"{count(missing, 'agent')} without a complete seed block.")
    return " ".join([*parts, closing(episodes, *notes)])


def _unknown(table: pd.DataFrame) -> int:
    """How many agents have no point because what they took is not known."""
    return int((table["interval"] == "none: not known").sum())
