"""Layout and drawing: a panel for all tasks together and one per task, in each a row per agent.

Points with intervals on one scale that starts at 0. What can't be drawn is said in words where it would be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, MaxNLocator

from babyai_kit.figures.agents import agents_of, folded, keys_of, label_of, styles_of, tasks_of
from babyai_kit.figures.caption import caption, known_of, watermark
from babyai_kit.figures.chart import STYLE, WIDTH, Chart, frame, plain, words
from babyai_kit.stats import ALL_TASKS, estimates

GREY = "#666666"


def panels(
    episodes: pd.DataFrame,
    measure: str,
    title: str,
    *,
    unit: str = "{:,.10g}",
    start: float = 0.0,
    limit: float | None = None,
    beside: str | None = None,
    missing: str = "no value known for {}",
) -> Chart:
    """The figure of `measure` (of stats.MEASURES).

    `unit`: format of the ticks; `start`, `limit`: ends of the scale (without `limit` by the data); `beside`:
    a second measure, in open markers below the first; `missing`: what to say of models without a value.
    """
    keys = keys_of(episodes)
    shown = _estimates(episodes, measure, keys)
    second = _estimates(episodes, beside, keys) if beside else None
    finished = episodes[episodes["status"] == "ok"]
    known = known_of(finished, measure)
    unknown = [str(model) for model, rows in known.groupby(finished["model"]) if not rows.any()]
    note = missing.format(" and ".join(unknown)) if unknown else ""
    with rc_context(STYLE):
        if shown["value"].notna().any():
            drawn = pd.concat([frame for frame in (shown, second) if frame is not None])
            ends = drawn[["value", "high"]].replace(math.inf, math.nan)
            top = limit or start + (1.03 * (ends.max().max() - start) or 1.0)
            figure = layout(shown, keys, (start, top), unit, roomy=beside is not None)
            for axes in figure.axes:
                _draw(axes, shown, keys, shift=-0.13 if beside else 0)
                if second is not None:
                    _draw(axes, second, keys, shift=0.17, filled=False)
        else:
            reasons = sorted({kind.removeprefix("none: ") for kind in shown["interval"]})
            figure = words(note or (" or ".join(reasons) if len(episodes) else "no episodes"))
            note = ""
        several = shown["task"].nunique() > 1
        text = caption(episodes, shown, measure, several=several, beside=second, note=note)
        frame(figure, title, text, watermark(episodes))
    return figure


def _estimates(episodes: pd.DataFrame, measure: str, keys: Sequence[str]) -> pd.DataFrame:
    """Estimates per agent (its `keys`) and panel: `task` is a task or, if there are several, ALL_TASKS."""
    each = estimates(episodes, measure, [*keys, "task"])
    if each["task"].nunique() < 2:
        return each
    return pd.concat([estimates(episodes, measure, keys).assign(task=ALL_TASKS), each], ignore_index=True)


def layout(
    shown: pd.DataFrame, keys: Sequence[str], ends: tuple[float, float], unit: str, roomy: bool
) -> Chart:
    """Empty axes, one per task, labelled with it."""
    tasks = tasks_of(shown)
    labels = [label_of(agent, keys) for agent in agents_of(shown, keys)]
    columns = {1: 1, 2: 2, 4: 2}.get(len(tasks), 3)
    rows = math.ceil(len(tasks) / columns)
    height = max(0.11 + 0.14 * (1 + max(label.count("\n") for label in labels)), 0.32 if roomy else 0.0)
    size = (0.72 * WIDTH if columns == 1 else WIDTH, 1 + rows * (0.6 + height * len(labels)))
    figure = Chart(figsize=size, layout="constrained")
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.04)
    first: Axes | None = None
    for i, task in enumerate(tasks):
        axes = figure.add_subplot(rows, columns, i + 1, sharex=first, sharey=first, label=task)
        first = first or axes
        axes.set_title(
            plain(folded(task, 30)), fontsize=9, fontweight="bold" if task == ALL_TASKS else "normal"
        )
        axes.patch.set_visible(False)  # lets the watermark shine through from behind the data
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0, pad=6, labelleft=i % columns == 0)
        axes.set_xlim(*ends)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_yticks(range(len(labels)), labels)
        axes.xaxis.set_major_locator(_ticks(*ends))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: unit.format(x)))
    return figure


def _ticks(start: float, top: float) -> Locator:
    """Round numbers, and `start`, if it is not 0."""
    round_ones = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])
    if not start:
        return round_ones
    clear = start + (top - start) / 10
    return FixedLocator([start, *(t for t in round_ones.tick_values(start, top) if clear < t <= top)])


def _draw(
    axes: Axes, shown: pd.DataFrame, keys: Sequence[str], shift: float = 0.0, filled: bool = True
) -> None:
    """The rows of one panel, each point an errorbar whose label is the agent's name."""
    agents = agents_of(shown, keys)
    styles = styles_of(agents)
    here = shown[shown["task"] == axes.get_label()]
    rows = {tuple(row[k] for k in keys): row for row in here.to_dict("records")}
    for y, agent in enumerate(agents):
        colour, marker = styles[agent]
        row = rows.get(agent)
        if row is None or math.isnan(row["value"]):
            if filled:
                why = "no episodes" if row is None else row["interval"].removeprefix("none: ")
                axes.text(
                    0.02, y, why, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5, color=GREY
                )
            continue
        value, low, high = row["value"], row["low"], row["high"]
        if math.isinf(high):
            high = axes.get_xlim()[1]
            axes.plot(high, y + shift, ">", color=colour, markersize=5, clip_on=False)
        axes.errorbar(
            value,
            y + shift,
            xerr=None if math.isnan(low) else [[value - low], [high - value]],
            label=", ".join(map(str, agent)),
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
