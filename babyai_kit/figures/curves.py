"""Figures of curves: the share of episodes above a return, or done within so many steps; a panel per task."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from babyai_kit.figures.agents import agents_of, dashes_of, folded, keys_of, label_of, styles_of, tasks_of
from babyai_kit.figures.caption import count, ending, watermark
from babyai_kit.figures.chart import STYLE, WIDTH, Chart, frame, plain, words
from babyai_kit.stats import ALL_TASKS
from babyai_kit.stats import return_profiles as profiles
from babyai_kit.stats import success_by_step as by_step

BANDS = 4
"""With more agents the bands would hide each other and the lines."""


def return_profiles(episodes: pd.DataFrame) -> Chart:
    """Share of episodes whose return is above each value, with bootstrap bands over seeds."""
    curves = profiles(episodes, keys_of(episodes))
    return _curves(episodes, curves, "Share of episodes with a higher return", "return")


def success_against_steps(episodes: pd.DataFrame) -> Chart:
    """Share of episodes that reached the goal within so many steps; it ends at the success rate."""
    curves = by_step(episodes, keys_of(episodes))
    return _curves(episodes, curves, "Share of episodes at the goal within so many steps", "steps")


def _curves(episodes: pd.DataFrame, curves: pd.DataFrame, title: str, unit: str) -> Chart:
    keys = list(curves.columns[: list(curves.columns).index("task")])
    tasks = tasks_of(curves)
    if len(tasks) == 2:  # one task, and the same as all tasks
        tasks = tasks[1:]
    shown = curves[curves["task"].isin(tasks)]
    with rc_context(STYLE):
        if shown["value"].notna().any():
            figure = _layout(tasks, shown, keys, unit)
        elif len(episodes):
            figure = words(
                "no complete seed block" if (episodes["status"] == "ok").any() else "no finished episode"
            )
        else:
            figure = words("no episodes")
        frame(figure, title, _caption(episodes, shown, keys, tasks), watermark(episodes))
    return figure


def _layout(tasks: list[str], shown: pd.DataFrame, keys: list[str], unit: str) -> Chart:
    """A panel per task, labelled with it, and the legend below them."""
    columns = {1: 1, 2: 2, 4: 2}.get(len(tasks), 3)
    rows = math.ceil(len(tasks) / columns)
    width = 0.72 * WIDTH if columns == 1 else WIDTH
    agents = agents_of(shown, keys)
    labels = [label_of(agent, keys) for agent in agents]
    wide = [max(map(len, label.split("\n"))) + 9 for label in labels]
    beside = len(agents) if sum(wide) < 13 * width else max(1, int(13 * width / max(wide)))
    high = [1 + label.count("\n") for label in labels]
    legend = 0.17 * sum(max(high[i : i + beside]) for i in range(0, len(high), beside))
    figure = Chart(figsize=(width, 1.05 + legend + 2.1 * rows), layout="constrained")
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[2.1] * rows + [legend])
    first: Axes | None = None
    for i, task in enumerate(tasks):
        axes = figure.add_subplot(grid[divmod(i, columns)], sharex=first, sharey=first, label=task)
        first = first or axes
        weight = "bold" if task == ALL_TASKS else "normal"
        axes.set_title(plain(folded(task, 30)), fontsize=9, fontweight=weight)
        axes.patch.set_visible(False)  # lets the watermark shine through from behind the data
        axes.grid(color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelleft=i % columns == 0)
        axes.set_xlim(0, float(shown["threshold"].max()) or 1.0)
        axes.set_ylim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 4, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        if i + columns >= len(tasks):
            axes.set_xlabel(unit)
        _draw(axes, shown[shown["task"] == task], keys)
    below = figure.add_subplot(grid[rows, :], label="legend")
    below.set_axis_off()
    for agent, label in zip(agents, labels, strict=True):
        colour, marker = styles_of(agents)[agent]
        below.plot([], [], marker, color=colour, linestyle=dashes_of(marker), markersize=5, label=label)
    below.legend(loc="center", ncols=beside, frameon=False, fontsize=8, handlelength=4, borderpad=0)
    return figure


def _draw(axes: Axes, here: pd.DataFrame, keys: list[str]) -> None:
    """A line per agent, and a band if they are few."""
    agents = agents_of(here, keys)
    curves = {tuple(rows.iloc[0][keys]): rows for _, rows in here.groupby(keys, dropna=False)}
    for i, agent in enumerate(agents):
        colour, marker = styles_of(agents)[agent]
        rows = curves[agent]
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
            label=", ".join(map(str, agent)),
        )
        if len(agents) <= BANDS:
            limits = rows["low"].to_numpy(), rows["high"].to_numpy()
            axes.fill_between(rows["threshold"], *limits, step="post", color=colour, alpha=0.1, linewidth=0)


def _caption(episodes: pd.DataFrame, shown: pd.DataFrame, keys: list[str], tasks: list[str]) -> str:
    finished = int((episodes["status"] == "ok").sum())
    used = shown[shown["value"].notna() & (shown["threshold"] == 0)]
    first = used[used["task"] == used["task"].iloc[0]] if len(used) else used
    if first.empty:
        return f"{count(finished, 'finished episode')}. {ending(episodes)}"
    kinds = " or ".join(sorted(set(shown.loc[shown["value"].notna(), "interval"])))
    parts = ["Lines: means over seeds."]
    if len(agents_of(shown, keys)) <= BANDS:
        parts.append(f"Bands: pointwise 95% intervals ({kinds}).")
    least, most = int(first["n_seeds"].min()), int(first["n_seeds"].max())
    behind = int(first["n_episodes"].sum())
    whole = " with every task finished" * (len(tasks) > 1 and behind < finished)
    part = f"{behind} of " * (behind < finished)
    seeds = f"n={f'{least} to ' * (least < most)}{count(most, 'seed')}{whole}"
    return " ".join([*parts, f"{seeds}, {part}{count(finished, 'episode')}.", ending(episodes)])
