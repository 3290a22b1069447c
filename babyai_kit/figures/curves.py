"""Figures of curves: the share of episodes above a return, or done within so many steps.

A panel per task; with several models per variant a panel per model, and with many agents a panel per agent.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from babyai_kit.figures.agents import (
    Agent,
    Lineup,
    dashes_of,
    keys_of,
    lineup,
    name_of,
    rows_of,
    styles_of,
    tasks_of,
)
from babyai_kit.figures.caption import closing, count, first_panel, sample, watermark
from babyai_kit.figures.chart import STYLE, WIDTH, Chart, add_panels, frame, notice, panel_grid
from babyai_kit.stats import finished, reasons
from babyai_kit.stats import return_profiles as profiles
from babyai_kit.stats import success_by_step as by_step

MAX_BANDS = 4
"""With more agents the bands would hide each other and the lines."""
MAX_LINES = 6
"""With more agents, each has a panel of its own."""
PALE = "#CCCCCC"
CONTEXT = "context"
"""The id of the lines of those who have another panel."""


def return_profiles(episodes: pd.DataFrame) -> Chart:
    """Share of episodes whose return is above each value, with bootstrap bands over seeds."""
    curves = profiles(episodes, keys_of(episodes))
    return _figure(episodes, curves, "Share of episodes above each return", "return")


def success_against_steps(episodes: pd.DataFrame) -> Chart:
    """Share of episodes that reached the goal within so many steps; it ends at the success rate."""
    curves = by_step(episodes, keys_of(episodes))
    return _figure(episodes, curves, "Success within N steps", "N, steps")


@dataclass(frozen=True)
class _Panel:
    """One of the axes: who is drawn on which task."""

    name: str
    task: str
    agents: tuple[Agent, ...]


def _panels(tasks: list[str], agents: Lineup) -> list[_Panel]:
    """A panel per task; or, where that would hold too many lines, per model or agent over all tasks."""
    if agents.is_grouped:
        groups = [(group.heading or name_of(group.agents[0]), group.agents) for group in agents.groups]
        return [_Panel(name, tasks[0], members) for name, members in groups]
    if len(agents.agents) > MAX_LINES:
        return [_Panel(agents.name(agent), tasks[0], (agent,)) for agent in agents.agents]
    return [_Panel(task, task, tuple(agents.agents)) for task in tasks]


def _figure(episodes: pd.DataFrame, curves: pd.DataFrame, title: str, unit: str) -> Chart:
    keys = list(curves.columns[: list(curves.columns).index("task")])
    tasks = tasks_of(curves)
    if len(tasks) == 2:  # one task, and the same as all tasks
        tasks = tasks[1:]
    agents = lineup(curves, keys)
    panels = _panels(tasks, agents)
    curves = curves[curves["task"].isin({panel.task for panel in panels})]
    with rc_context(STYLE):
        if curves["value"].notna().any():
            figure = _layout(panels, curves, agents, unit)
        elif len(finished(episodes)):
            figure = notice(" or ".join(reasons(curves["interval"])))
        else:
            figure = notice("no finished episode" if len(episodes) else "no episodes")
        caption = _caption(episodes, curves, panels, several_tasks=len(tasks) > 1)
        frame(figure, title, caption, watermark(episodes))
    return figure


def _layout(panels: list[_Panel], curves: pd.DataFrame, agents: Lineup, unit: str) -> Chart:
    """The panels, each under its name, and the legend below them, unless the names say who it is."""
    lines, columns = panel_grid(len(panels))
    styles = _styles(agents)
    is_named_by_agent = panels[0].name != panels[0].task and not agents.is_grouped
    # By name, the style; where each model has a panel, each once for all models.
    labels = {} if is_named_by_agent else {agents.label(agent): styles[agent] for agent in agents.agents}
    widths = [max(map(len, label.split("\n"))) + 9 for label in labels] or [1]
    per_line = len(labels) if sum(widths) < 13 * WIDTH else max(1, int(13 * WIDTH / max(widths)))
    heights = [1 + label.count("\n") for label in labels]
    legend = 0.17 * sum(max(heights[i : i + per_line]) for i in range(0, len(heights), per_line or 1))
    figure = Chart(figsize=(WIDTH, 1.05 + legend + 1.9 * lines), layout="constrained")
    grid = figure.add_gridspec(lines + 1, columns, height_ratios=[1.9] * lines + [max(legend, 0.01)])
    for i, axes in enumerate(add_panels(figure, grid, [panel.name for panel in panels], "both")):
        axes.set_xlim(0, float(curves["threshold"].max()) or 1.0)
        axes.set_ylim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 4, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        if i + columns >= len(panels):
            axes.set_xlabel(unit)
        _draw(axes, panels[i], curves[curves["task"] == panels[i].task], agents, styles)
    if labels:
        below = figure.add_subplot(grid[lines, :], label="legend")
        below.set_axis_off()
        for label, (colour, marker) in labels.items():
            below.plot([], [], marker, color=colour, linestyle=dashes_of(marker), markersize=5, label=label)
        below.legend(loc="center", ncols=per_line, frameon=False, fontsize=8, handlelength=4, borderpad=0)
    return figure


def _styles(agents: Lineup) -> dict[Agent, tuple[str, str]]:
    """Colour and marker of each line; where each model has a panel, whatever the model."""
    if not agents.is_grouped:
        return styles_of(agents.agents)
    model = agents.keys.index("model")
    bare = {agent: (*agent[:model], *agent[model + 1 :]) for agent in agents.agents}
    styles = styles_of(list(dict.fromkeys(bare.values())))
    return {agent: styles[bare[agent]] for agent in agents.agents}


def _draw(
    axes: Axes, panel: _Panel, curves: pd.DataFrame, agents: Lineup, styles: dict[Agent, tuple[str, str]]
) -> None:
    """A line per agent of the panel, and a band if they are few; the other agents' lines in grey."""
    for agent in agents.agents:
        if agent not in panel.agents:
            rows = rows_of(curves, agents.keys, agent)
            x, y = rows["threshold"], rows["value"]
            axes.plot(x, y, drawstyle="steps-post", color=PALE, linewidth=0.8, zorder=1, gid=CONTEXT)
    for i, agent in enumerate(panel.agents):
        colour, marker = styles[agent]
        rows = rows_of(curves, agents.keys, agent)
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
            markevery=(i * step // len(panel.agents), step),
            label=name_of(agent),
        )
        if len(panel.agents) <= MAX_BANDS:
            limits = rows["low"].to_numpy(), rows["high"].to_numpy()
            axes.fill_between(rows["threshold"], *limits, step="post", color=colour, alpha=0.1, linewidth=0)


def _caption(
    episodes: pd.DataFrame, curves: pd.DataFrame, panels: list[_Panel], *, several_tasks: bool
) -> str:
    n_finished = len(finished(episodes))
    known = curves[curves["value"].notna()]
    first = first_panel(known[known["threshold"] == 0])
    if first.empty:
        return f"{count(n_finished, 'finished episode')}. {closing(episodes)}"
    is_by_agent = panels[0].name != panels[0].task
    over = ", all tasks together" if is_by_agent and several_tasks else ""
    parts = [f"Lines: means over seeds{over}{'; grey: the other agents' if is_by_agent else ''}."]
    if max(len(panel.agents) for panel in panels) <= MAX_BANDS:
        # At most thresholds every seed may agree: a band without width there is no other kind of interval.
        of_width = known[~known["interval"].str.startswith("no")]
        parts.append(f"Bands: pointwise 95% intervals ({_band_kinds(of_width)}).")
    parts.append(f"{sample(first, n_finished, several_tasks)}.")
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
