"""Before and after learning: two agents task by task, and by how much they differ, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from babyai_kit.errors import InputError
from babyai_kit.figures.agents import REFERENCES, STYLES, rows_by_agent, styles_of, tasks_of
from babyai_kit.figures.caption import capitalized, closing, count, kinds_by_panel, seeds, watermark
from babyai_kit.figures.chart import (
    GREY,
    STYLE,
    WIDTH,
    Chart,
    add_grid,
    annotate_row,
    fold,
    frame,
    notice,
    plain,
)
from babyai_kit.figures.model_names import short_names
from babyai_kit.figures.panels import missing, tick_text
from babyai_kit.stats import (
    ALL_TASKS,
    Measure,
    compare,
    estimates,
    finished,
    measure_of,
    reasons,
    rows_of_agent,
)

BEFORE, AFTER = "before", "after"
TEXT_LEFT = 1.03
"""Where the figures beside the rows begin, in widths of the axes."""
SHIFT = {BEFORE: -0.15, AFTER: 0.15}
"""Of the points from the middle of their row, in rows."""
MARKS = "x*+1234"
"""Of the references, in their order."""


def before_and_after(
    episodes: pd.DataFrame,
    before: str | Mapping[str, Any],
    after: str | Mapping[str, Any],
    *,
    measure: str = "success",
    references: Iterable[str] = REFERENCES,
) -> Chart:
    """`measure` (of stats.MEASURES) of two agents, over all tasks and per task, such as before and after
    fine-tuning: points with 95% intervals, and beside them the difference, paired by seed (see `compare`).

    An agent is a variant or, where several agents bear its name, its settings, like {"variant": "history",
    "model": "small"}. `references`: variants drawn as grey marks where the table has them, by default
    `random` and `expert` of `reference_episodes`; on the seeds and tasks of the two agents only.

    Raises InputError for the same agent twice, UnknownBaselineError for one that is not in the table or may
    be several, NoSharedSeedsError for two without a common seed.
    """
    definition = measure_of(measure)
    parts = {BEFORE: rows_of_agent(episodes, before), AFTER: rows_of_agent(episodes, after)}
    if parts[BEFORE].equals(parts[AFTER]):
        raise InputError(f"before and after are both {before}; name two different agents")
    both = pd.concat([rows.assign(variant=name) for name, rows in parts.items()], ignore_index=True)
    table = compare(both, BEFORE, measures=[measure])
    drawn = _per_task(both, measure)
    marks = {name: _reference(episodes, name, both, measure) for name in references}
    marks = {name: values for name, values in marks.items() if values}
    title = _title(table, definition)
    shown = pd.concat(parts.values())
    with rc_context(STYLE):
        if drawn["value"].notna().any():
            figure = _layout(drawn, definition)
            (axes,) = figure.axes
            styles = _styles(parts)
            names = _names(parts)
            for name in parts:
                _draw(axes, drawn, name, f"{name}: {names[name]}", styles[name])
            _draw_marks(axes, drawn, marks)
            _write_differences(axes, drawn, table, definition)
            axes.legend(
                handles=sorted(axes.get_legend_handles_labels()[0], key=lambda h: isinstance(h, Line2D)),
                loc="lower left",
                bbox_to_anchor=(0, 1.0),
                frameon=False,
                fontsize=8,
                borderpad=0.1,
                handletextpad=0.3,
            )
            text = _caption(shown, drawn, table, definition, list(marks))
        else:
            figure = notice(" or ".join(reasons(drawn["interval"])))
            text = f"{count(len(finished(shown)), 'finished episode')}. {closing(shown)}"
        frame(figure, title, text, watermark(shown))
    return figure


def _per_task(episodes: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Estimates by variant and task, ALL_TASKS among these where there are several."""
    each = estimates(episodes, measure, ["variant", "task"])
    if each["task"].nunique() < 2:
        return each
    return pd.concat([estimates(episodes, measure).assign(task=ALL_TASKS), each], ignore_index=True)


def _reference(episodes: pd.DataFrame, name: str, both: pd.DataFrame, measure: str) -> dict[str, float]:
    """The reference's values by task, on the seeds and tasks that the two agents played."""
    rows = episodes[
        (episodes["variant"] == name)
        & episodes["seed"].isin(both["seed"])
        & episodes["task"].isin(both["task"])
        & episodes["num_dists"].isin(both["num_dists"])
    ]
    if rows.empty:
        return {}
    table = _per_task(rows.assign(model="", variant_digest="", history_length=0), measure)
    values = dict(zip(table["task"], table["value"], strict=True))
    return {task: value for task, value in values.items() if not math.isnan(value)}


def _names(parts: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """The agents' names: their variants, and their models where these differ."""
    models = {name: str(rows["model"].iloc[0]) for name, rows in parts.items()}
    short = short_names(models.values())
    differ = len(short) > 1
    return {
        name: str(rows["variant"].iloc[0]) + (f", {short[models[name]]}" if differ else "")
        for name, rows in parts.items()
    }


def _styles(parts: Mapping[str, pd.DataFrame]) -> dict[str, tuple[str, str]]:
    """Those that the variants have in other figures, unless they are of one variant."""
    variants = {name: (str(rows["variant"].iloc[0]),) for name, rows in parts.items()}
    if len(set(variants.values())) < len(variants):
        return dict(zip(parts, STYLES, strict=False))
    styles = styles_of(list(variants.values()))
    return {name: styles[variants[name]] for name in parts}


def _layout(drawn: pd.DataFrame, measure: Measure) -> Chart:
    """Empty axes with a row per task."""
    tasks = tasks_of(drawn)
    figure = Chart(figsize=(WIDTH, 1.9 + 0.42 * len(tasks)), layout="constrained")
    axes = figure.add_subplot(label=ALL_TASKS)
    largest = drawn[["value", "high"]].replace(math.inf, math.nan).max().max()
    axes.set_xlim(measure.start, measure.limit or measure.start + (1.03 * (largest - measure.start) or 1.0))
    axes.set_ylim(len(tasks) - 0.5, -0.7)
    axes.set_yticks(range(len(tasks)), [plain(fold(task, 26)) for task in tasks])
    axes.tick_params(axis="y", length=0, pad=6)
    axes.spines["left"].set_visible(False)
    if tasks[0] == ALL_TASKS:
        axes.get_yticklabels()[0].set_fontweight("bold")
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    write = tick_text(measure)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: write(x)))
    add_grid(axes, "x")
    return figure


def _draw(axes: Axes, drawn: pd.DataFrame, name: str, label: str, style: tuple[str, str]) -> None:
    """The points and intervals of one of the two; those before are open."""
    colour, marker = style
    rows = rows_by_agent(drawn[drawn["variant"] == name], ["task"])
    handle: dict[str, Any] = {"label": plain(fold(label, 60))}
    for y, task in enumerate(tasks_of(drawn)):
        row = rows.get((task,))
        if row is None or math.isnan(row["value"]):
            annotate_row(axes, 0.02, y + SHIFT[name], missing(row), color=GREY)
            continue
        value, low, high = row["value"], row["low"], min(row["high"], axes.get_xlim()[1])
        axes.errorbar(
            value,
            y + SHIFT[name],
            xerr=None if math.isnan(low) else [[value - low], [high - value]],
            fmt=marker,
            color=colour,
            markerfacecolor="white" if name == BEFORE else colour,
            markersize=6.5 if task == ALL_TASKS else 5.5,
            elinewidth=1.8 if task == ALL_TASKS else 1.3,
            capsize=2.5,
            clip_on=False,
            **handle,
        )
        handle = {}


def _draw_marks(axes: Axes, drawn: pd.DataFrame, marks: Mapping[str, Mapping[str, float]]) -> None:
    for (name, values), mark in zip(marks.items(), MARKS, strict=False):
        places = [(values[task], y) for y, task in enumerate(tasks_of(drawn)) if task in values]
        x, y = zip(*places, strict=True)
        axes.plot(
            x,
            y,
            mark,
            color=GREY,
            markersize=6,
            clip_on=False,
            label=plain(fold(name, 60)),
            linestyle="",
            zorder=1,
        )


def _write_differences(axes: Axes, drawn: pd.DataFrame, table: pd.DataFrame, measure: Measure) -> None:
    values = rows_by_agent(drawn, ["variant", "task"])
    differences = rows_by_agent(table, ["task"])
    unit = f" ({measure.difference_unit})" if measure.difference_unit else ""
    header = f"before → after, difference{unit}  [95% interval]"
    annotate_row(axes, TEXT_LEFT, -0.62, header, fontweight="bold")
    for y, task in enumerate(tasks_of(drawn)):
        ends = [values.get((name, task), {}).get("value", math.nan) for name in (BEFORE, AFTER)]
        text = " → ".join(map(measure.text, ends)) + f",  {difference_text(differences[task,], measure)}"
        weight = "bold" if task == ALL_TASKS else "normal"
        annotate_row(axes, TEXT_LEFT, y, plain(text), fontweight=weight)


def difference_text(row: Mapping[Any, Any], measure: Measure) -> str:
    """`+9.0  [+1.2, +16.8]`: a row of `compare`; without the interval where there is none."""
    text = measure.difference(row["difference"])
    if not math.isnan(row["low"]):
        text += f"  [{measure.difference(row['low'])}, {measure.difference(row['high'])}]"
    return text


def _title(table: pd.DataFrame, measure: Measure) -> str:
    """The measure and the difference over all tasks."""
    title = f"{capitalized(measure.label)} before and after"
    row = table[table["task"] == ALL_TASKS].iloc[0]
    if math.isnan(row["difference"]):
        return title
    unit = f" {measure.difference_unit}" if measure.difference_unit else ""
    text = f"{title}: {measure.difference(row['difference'])}{unit}"
    if math.isnan(row["low"]):
        return text
    return f"{text}, 95% interval {measure.difference(row['low'])} to {measure.difference(row['high'])}"


def _caption(
    episodes: pd.DataFrame, drawn: pd.DataFrame, table: pd.DataFrame, measure: Measure, marks: list[str]
) -> str:
    known = drawn[drawn["value"].notna()]
    parts = [f"Points: means; lines: 95% intervals ({kinds_by_panel(known, 'interval')})."]
    differences = table[table["difference"].notna()]
    if len(differences):
        first = differences[differences["task"] == tasks_of(differences)[0]]
        every = " every task" if len(tasks_of(drawn)) > 1 else ""
        kinds = kinds_by_panel(differences, "interval")
        parts.append(f"Differences: paired by seed ({kinds}), {seeds(first)} on which both finished{every}.")
    if marks:
        parts.append(f"Grey, on the same seeds: {' and '.join(marks)}.")
    return " ".join([*parts, closing(episodes)])
