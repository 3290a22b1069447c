"""The figure of failures: which share of the episodes failed in which way, stacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from babyai_kit.failures.classes import CLASSES, LABELS
from babyai_kit.failures.tables import failure_shares
from babyai_kit.figures.agents import keys_of, lineup, rows_by_agent, tasks_of
from babyai_kit.figures.caption import closing, count, first_panel, sample, watermark
from babyai_kit.figures.chart import GREY, STYLE, Chart, annotate_row, frame, notice
from babyai_kit.figures.panels import layout, readable
from babyai_kit.figures.rows import Rows, rows_for
from babyai_kit.stats import ALL_TASKS, finished

FILLS = {
    "invalid_answers": ("#000000", ""),
    "goal_destroyed": ("#CC79A7", "xxxx"),
    "wrong_object": ("#D55E00", "////"),
    "loop": ("#56B4E9", "...."),
    "goal_not_acted_on": ("#F0E442", "\\\\\\\\"),
    "out_of_steps": ("#BBBBBB", ""),
}
"""Colour and hatch of each class: Okabe and Ito's (2008) colours; the hatches tell them apart in grey."""

SCALE_ENDS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Where the scale may end: the smallest of these that holds the longest bar."""


def failure_classes(episodes: pd.DataFrame, failures: pd.DataFrame) -> Chart:
    """Share of the episodes that failed, by class (`failures.CLASSES`); a bar is as long as 1 - success rate.

    `failures`: the table of `load_failures` for the run of `episodes`.
    """
    keys = keys_of(episodes)
    shares = failure_shares(episodes, failures, [*keys, "task"])
    if shares["task"].nunique() > 1:
        overall = failure_shares(episodes, failures, keys).assign(task=ALL_TASKS)
        shares = pd.concat([overall, shares], ignore_index=True)
    with rc_context({**STYLE, "hatch.linewidth": 0.5}):
        if shares["n_episodes"].any():
            longest = shares[list(CLASSES)].sum(axis=1).max()
            end = next(end for end in SCALE_ENDS if longest <= end + 1e-9)
            shares = readable(shares, keys)
            rows = rows_for(lineup(shares, keys))
            figure = layout(tasks_of(shares), rows, (0.0, end), "{:.0%}".format)
            for axes in figure.axes:
                _draw(axes, shares, keys, rows)
            occurring = [name for name in CLASSES if (shares[name] > 0).any()]
            if handles := [Patch(label=LABELS[name], **_fill(name)) for name in occurring]:
                figure.legend(
                    handles=handles, loc="outside upper right", ncols=2, frameon=False, fontsize=7.5
                )
        else:
            figure = notice("no finished episode" if len(episodes) else "no episodes")
        frame(figure, "How episodes failed", _caption(episodes, shares), watermark(episodes))
    return figure


def _draw(axes: Axes, shares: pd.DataFrame, keys: Sequence[str], places: Rows) -> None:
    rows = rows_by_agent(shares[shares["task"] == axes.get_label()], keys)
    for (_, agent), y in places.agents.items():
        row = rows.get(agent)
        reason = _reason(row)
        if row is None or reason:
            annotate_row(axes, 0.02, y, reason, color=GREY)
            continue
        left = 0.0
        for name in CLASSES:
            axes.barh(y, row[name], left=left, height=0.62, linewidth=0.4, **_fill(name))
            left += row[name]


def _reason(row: Mapping[Any, Any] | None) -> str:
    """Why an agent has no bar; empty if it has one."""
    if row is None:
        return "no episodes"
    if not row["n_episodes"]:
        return "no complete seed block"
    return "" if any(row[name] for name in CLASSES) else "none"


def _fill(name: str) -> dict[str, Any]:
    colour, hatch = FILLS[name]
    return {"facecolor": colour, "edgecolor": "#333333", "hatch": hatch}


def _caption(episodes: pd.DataFrame, shares: pd.DataFrame) -> str:
    n_finished = len(finished(episodes))
    first = first_panel(shares)
    if not first["n_episodes"].any():
        return f"{count(n_finished, 'finished episode')}. {closing(episodes)}"
    return (
        "Bars: share of episodes that failed, without intervals; each failure counts once, in the first "
        "class of the legend whose condition it meets. "
        f"{sample(first, n_finished, len(first) < len(shares))}. {closing(episodes)}"
    )
