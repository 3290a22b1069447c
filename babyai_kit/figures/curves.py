"""Figures of curves: the share of episodes above a return, or done within so many steps; a panel per task."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from babyai_kit.figures.agents import (
    agents_of,
    dashes_of,
    keys_of,
    label_of,
    name_of,
    rows_of,
    styles_of,
    tasks_of,
)
from babyai_kit.figures.caption import closing, count, first_panel, sample, watermark
from babyai_kit.figures.chart import STYLE, Chart, add_panels, frame, notice, panel_grid
from babyai_kit.stats import finished, reasons
from babyai_kit.stats import return_profiles as profiles
from babyai_kit.stats import success_by_step as by_step

MAX_BANDS = 4
"""With more agents the bands would hide each other and the lines."""


def return_profiles(episodes: pd.DataFrame) -> Chart:
    """Share of episodes whose return is above each value, with bootstrap bands over seeds."""
    curves = profiles(episodes, keys_of(episodes))
    return _figure(episodes, curves, "Share of episodes above each return", "return")


def success_against_steps(episodes: pd.DataFrame) -> Chart:
    """Share of episodes that reached the goal within so many steps; it ends at the success rate."""
    curves = by_step(episodes, keys_of(episodes))
    return _figure(episodes, curves, "Success within N steps", "N, steps")


def _figure(episodes: pd.DataFrame, curves: pd.DataFrame, title: str, unit: str) -> Chart:
    keys = list(curves.columns[: list(curves.columns).index("task")])
    tasks = tasks_of(curves)
    if len(tasks) == 2:  # one task, and the same as all tasks
        tasks = tasks[1:]
    curves = curves[curves["task"].isin(tasks)]
    with rc_context(STYLE):
        if curves["value"].notna().any():
            figure = _layout(tasks, curves, keys, unit)
        elif len(finished(episodes)):
            figure = notice(" or ".join(reasons(curves["interval"])))
        else:
            figure = notice("no finished episode" if len(episodes) else "no episodes")
        frame(figure, title, _caption(episodes, curves, keys), watermark(episodes))
    return figure


def _layout(tasks: list[str], curves: pd.DataFrame, keys: list[str], unit: str) -> Chart:
    """A panel per task, labelled with it, and the legend below them."""
    lines, columns, width = panel_grid(len(tasks))
    agents = agents_of(curves, keys)
    styles = styles_of(agents)
    labels = [label_of(agent, keys) for agent in agents]
    widths = [max(map(len, label.split("\n"))) + 9 for label in labels]
    per_line = len(agents) if sum(widths) < 13 * width else max(1, int(13 * width / max(widths)))
    heights = [1 + label.count("\n") for label in labels]
    legend = 0.17 * sum(max(heights[i : i + per_line]) for i in range(0, len(heights), per_line))
    figure = Chart(figsize=(width, 1.05 + legend + 2.1 * lines), layout="constrained")
    grid = figure.add_gridspec(lines + 1, columns, height_ratios=[2.1] * lines + [legend])
    for i, axes in enumerate(add_panels(figure, grid, tasks, "both")):
        axes.set_xlim(0, float(curves["threshold"].max()) or 1.0)
        axes.set_ylim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 4, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        if i + columns >= len(tasks):
            axes.set_xlabel(unit)
        _draw(axes, curves[curves["task"] == tasks[i]], keys)
    below = figure.add_subplot(grid[lines, :], label="legend")
    below.set_axis_off()
    for agent, label in zip(agents, labels, strict=True):
        colour, marker = styles[agent]
        below.plot([], [], marker, color=colour, linestyle=dashes_of(marker), markersize=5, label=label)
    below.legend(loc="center", ncols=per_line, frameon=False, fontsize=8, handlelength=4, borderpad=0)
    return figure


def _draw(axes: Axes, curves: pd.DataFrame, keys: list[str]) -> None:
    """A line per agent, and a band if they are few."""
    agents = agents_of(curves, keys)
    styles = styles_of(agents)
    for i, agent in enumerate(agents):
        colour, marker = styles[agent]
        rows = rows_of(curves, keys, agent)
        step = max(1, len(rows) // 6)
        axes.plot(
            rows["threshold"],
            rows["value"],
            drawstyle="steps-post",
            color=colour,
            linestyle=dashes_of(marker),
            linewidth=1.4,
            marker=marker,
            markersize=3.5,
            markevery=(i * step // len(agents), step),
            label=name_of(agent),
        )
        if len(agents) <= MAX_BANDS:
            limits = rows["low"].to_numpy(), rows["high"].to_numpy()
            axes.fill_between(rows["threshold"], *limits, step="post", color=colour, alpha=0.1, linewidth=0)


def _caption(episodes: pd.DataFrame, curves: pd.DataFrame, keys: list[str]) -> str:
    n_finished = len(finished(episodes))
    known = curves[curves["value"].notna()]
    first = first_panel(known[known["threshold"] == 0])
    if first.empty:
        return f"{count(n_finished, 'finished episode')}. {closing(episodes)}"
    parts = ["Lines: means over seeds."]
    if len(agents_of(curves, keys)) <= MAX_BANDS:
        # At most thresholds every seed may agree: a band without width there is no other kind of interval.
        of_width = known[~known["interval"].str.startswith("no")]
        parts.append(f"Bands: pointwise 95% intervals ({_band_kinds(of_width)}).")
    parts.append(f"{sample(first, n_finished, curves['task'].nunique() > 1)}.")
    return " ".join([*parts, closing(episodes)])


def _band_kinds(rows: pd.DataFrame) -> str:
    """The kind of most thresholds, and those at rates near 0 and 1, for all tasks and each task apart."""
    first = first_panel(rows)
    texts = []
    for name, part in (("all tasks", first), ("each task", rows.drop(first.index))):
        usual, *extreme = part["interval"].value_counts().index if len(part) else ("",)
        text = f"{usual}, at extreme rates {' and '.join(sorted(extreme))}" if extreme else str(usual)
        texts += [(name, text)] if text else []
    if len({text for _, text in texts}) < 2:
        return "".join(text for _, text in texts[:1]) or "none"
    return "; ".join(f"{name}: {text}" for name, text in texts)
