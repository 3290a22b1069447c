"""Layout and drawing: a panel for all tasks together and one per task, in each a row per agent.

Points with intervals, all panels on one scale. Where nothing can be drawn, the reason stands in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, MaxNLocator

from babyai_kit.figures import published
from babyai_kit.figures.agents import (
    agents_of,
    keys_of,
    lineup,
    name_of,
    rows_by_agent,
    styles_of,
    tasks_of,
)
from babyai_kit.figures.caption import capitalized, caption, has_value, watermark
from babyai_kit.figures.chart import (
    GREY,
    STYLE,
    WIDTH,
    Chart,
    add_panels,
    annotate_row,
    frame,
    notice,
    panel_grid,
    plain,
)
from babyai_kit.figures.rows import Rows, rows_for
from babyai_kit.stats import ALL_TASKS, Measure, estimates, finished, measure_of, reasons

LINE, ROOMY_LINE = 0.235, 0.3
"""Inches of a row whose name has one line: with one point, or with two."""
MAX_PER_TASK = 8
"""With more agents, only success is drawn for each task; the rest over all tasks."""
VALUE = "value"
"""The id of the texts that give a point's value."""


def panels(episodes: pd.DataFrame, name: str, *, beside: str | None = None) -> Chart:
    """The figure of the measure `name`; `beside`: a second one, in open markers below the first."""
    measure = measure_of(name)
    keys = keys_of(episodes)
    drawn = _estimates(episodes, name, keys)
    drawn = drawn if measure.is_rate else readable(drawn, keys)
    second = readable(_estimates(episodes, beside, keys), keys) if beside else None
    note = models_without(episodes, measure)
    with rc_context(STYLE):
        if drawn["value"].notna().any():
            both = drawn if second is None else pd.concat([drawn, second])
            largest = both[["value", "high"]].replace(math.inf, math.nan).max().max()
            end = measure.limit or measure.start + (1.03 * (largest - measure.start) or 1.0)
            rows = rows_for(lineup(drawn, keys))
            height = ROOMY_LINE if beside else LINE
            figure = layout(tasks_of(drawn), rows, (measure.start, end), tick_text(measure), height)
            if measure.is_rate and published.are_comparable(episodes):
                places = {agent: y for (_, agent), y in rows.agents.items()}
                example = published.draw_marks(figure.axes[0], places)
                note = ". ".join(filter(None, (note, capitalized(published.note(example)))))
            for axes in figure.axes:
                _draw(axes, drawn, keys, rows, shift=-0.13 if beside else 0)
                _write_values(axes, drawn, keys, rows, measure, shift=-0.13 if beside else 0)
                if second is not None:
                    _draw(axes, second, keys, rows, shift=0.17, filled=False)
        else:
            reason = " or ".join(reasons(drawn["interval"])) if len(episodes) else "no episodes"
            figure, note = notice(note or reason), ""
        # Ticks bear the % sign, so that the title needs none.
        title = capitalized(measure.label if measure.unit == "%" else measure.heading)
        text = caption(episodes, drawn, measure, open_points=second, note=note)
        frame(figure, title, text, watermark(episodes))
    return figure


def models_without(episodes: pd.DataFrame, measure: Measure) -> str:
    """Which models have no value of `measure` at all; empty if none."""
    done = finished(episodes)
    known = has_value(done, measure).groupby(done["model"]).any()
    models = [str(model) for model in known.index[~known]]
    return measure.unknown.format(" and ".join(models)) if models else ""


def tick_text(measure: Measure) -> Callable[[float], str]:
    """How a figure of the measure writes a value on its scale."""
    return "{:.0%}".format if measure.unit == "%" else "{:,.10g}".format


def _estimates(episodes: pd.DataFrame, measure: str, keys: Sequence[str]) -> pd.DataFrame:
    """Estimates per agent (its `keys`) and panel: `task` is a task or, if there are several, ALL_TASKS."""
    each = estimates(episodes, measure, [*keys, "task"])
    if each["task"].nunique() < 2:
        return each
    return pd.concat([estimates(episodes, measure, keys).assign(task=ALL_TASKS), each], ignore_index=True)


def layout(
    tasks: Sequence[str],
    rows: Rows,
    ends: tuple[float, float],
    tick_text: Callable[[float], str],
    height: float = LINE,
) -> Chart:
    """Empty axes, one per task and labelled with it, each with all rows; `height`: inches of a line."""
    lines, columns = panel_grid(len(tasks))
    figure = Chart(figsize=(WIDTH, 1 + lines * (0.6 + height * rows.end)), layout="constrained")
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.04)
    for axes in add_panels(figure, figure.add_gridspec(lines, columns), tasks, "x"):
        axes.set_xlim(*ends)
        rows.label(axes)
        axes.xaxis.set_major_locator(_ticks(*ends))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
    return figure


def readable(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The table; of many agents on several tasks, the rows over all tasks alone, which fit a page."""
    is_over_all = table["task"] == ALL_TASKS
    several = len(table[list(keys)].drop_duplicates()) > MAX_PER_TASK
    return table[is_over_all] if several and is_over_all.any() else table


def _ticks(start: float, end: float) -> Locator:
    """Round numbers, and `start`, if it is not 0."""
    round_numbers = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])
    if not start:
        return round_numbers
    clear = start + (end - start) / 10
    return FixedLocator([start, *(t for t in round_numbers.tick_values(start, end) if clear < t <= end)])


def _draw(
    axes: Axes,
    table: pd.DataFrame,
    keys: Sequence[str],
    places: Rows,
    shift: float = 0.0,
    filled: bool = True,
) -> None:
    """The rows of one panel, each point an errorbar whose label is the agent's name."""
    styles = styles_of(agents_of(table, keys))
    rows = rows_by_agent(table[table["task"] == axes.get_label()], keys)
    for (_, agent), y in places.agents.items():
        colour, marker = styles[agent]
        row = rows.get(agent)
        if row is None or math.isnan(row["value"]):
            if filled:
                annotate_row(axes, 0.02, y, missing(row), color=GREY)
            continue
        value, low, high = row["value"], row["low"], row["high"]
        if math.isinf(high):
            high = axes.get_xlim()[1]
            axes.plot(high, y + shift, ">", color=colour, markersize=5, clip_on=False)
        axes.errorbar(
            value,
            y + shift,
            xerr=None if math.isnan(low) else [[value - low], [high - value]],
            label=name_of(agent),
            fmt=marker,
            color=colour,
            markerfacecolor=colour if filled else "white",
            markersize=5.5,
            elinewidth=1.4,
            capsize=2.5,
            clip_on=False,
        )
        if row["worst"] < value:
            axes.plot(row["worst"], y + 0.22, "x", color=colour, markersize=4, clip_on=False)


def _write_values(
    axes: Axes, table: pd.DataFrame, keys: Sequence[str], places: Rows, measure: Measure, shift: float
) -> None:
    """The value above each point, turned inwards at the ends of the scale."""
    rows = rows_by_agent(table[table["task"] == axes.get_label()], keys)
    start, end = axes.get_xlim()
    for (_, agent), y in places.agents.items():
        row = rows.get(agent)
        if row is None or math.isnan(row["value"]):
            continue
        share = (row["value"] - start) / (end - start)
        axes.annotate(
            plain(measure.text(row["value"])),
            (row["value"], y + shift),
            xytext=(-4 if share < 0.15 else 4 if share > 0.85 else 0, 3.5),
            textcoords="offset points",
            ha="left" if share < 0.15 else "right" if share > 0.85 else "center",
            va="bottom",
            fontsize=6.5,
            color="#333333",
            gid=VALUE,
            annotation_clip=False,
        )


def missing(row: Mapping[Any, Any] | None) -> str:
    """Why an agent's row has no point."""
    return "no episodes" if row is None else " or ".join(reasons([row["interval"]]))
