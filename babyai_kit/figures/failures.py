"""The figure of failures: which share of the episodes failed in which way, stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from babyai_kit.failures.classes import CLASSES, LABELS
from babyai_kit.failures.tables import failure_shares
from babyai_kit.figures.agents import agents_of, keys_of
from babyai_kit.figures.caption import count, ending, watermark
from babyai_kit.figures.chart import STYLE, Chart, frame, words
from babyai_kit.figures.panels import GREY, layout
from babyai_kit.stats import ALL_TASKS

FILLS = {
    "invalid_answers": ("#000000", ""),
    "goal_destroyed": ("#CC79A7", "xxxx"),
    "wrong_object": ("#D55E00", "////"),
    "loop": ("#56B4E9", "...."),
    "goal_not_acted_on": ("#F0E442", "\\\\\\\\"),
    "out_of_steps": ("#BBBBBB", ""),
}
"""Colour and hatch of each class: Okabe and Ito's (2008) colours; the hatches tell them apart in grey."""

STEPS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Where the scale may end: the least of these that holds the longest bar."""


def failure_classes(episodes: pd.DataFrame, failures: pd.DataFrame) -> Chart:
    """Share of the episodes that failed, by class (`failures.CLASSES`); a bar is as long as 1 - success rate.

    `failures`: the table of `load_failures` for the run of `episodes`.
    """
    keys = keys_of(episodes)
    shown = failure_shares(episodes, failures, [*keys, "task"])
    if several := shown["task"].nunique() > 1:
        over_all = failure_shares(episodes, failures, keys).assign(task=ALL_TASKS)
        shown = pd.concat([over_all, shown], ignore_index=True)
    with rc_context({**STYLE, "hatch.linewidth": 0.5}):
        if shown["n_episodes"].any():
            longest = shown[list(CLASSES)].sum(axis=1).max()
            top = next(step for step in STEPS if longest <= step + 1e-9)
            figure = layout(shown, keys, (0.0, top), "{:.0%}", roomy=False)
            for axes in figure.axes:
                _draw(axes, shown, keys)
            there = [name for name in CLASSES if (shown[name] > 0).any()]
            if handles := [Patch(label=LABELS[name], **_fill(name)) for name in there]:
                columns = 3 if len(figure.axes) > 1 else 2
                figure.legend(
                    handles=handles, loc="outside upper right", ncols=columns, frameon=False, fontsize=7.5
                )
        else:
            figure = words("no finished episode" if len(episodes) else "no episodes")
        frame(figure, "How episodes failed", _caption(episodes, shown, several), watermark(episodes))
    return figure


def _draw(axes: Axes, shown: pd.DataFrame, keys: Sequence[str]) -> None:
    here = shown[shown["task"] == axes.get_label()]
    rows = {tuple(row[k] for k in keys): row for row in here.to_dict("records")}
    for y, agent in enumerate(agents_of(shown, keys)):
        row = rows.get(agent)
        why = "no episodes" if row is None else "" if row["n_episodes"] else "no complete seed block"
        if row is not None and row["n_episodes"] and not any(row[name] for name in CLASSES):
            why = "none"
        if row is None or why:
            place = axes.get_yaxis_transform()
            axes.text(0.02, y, why, transform=place, va="center", fontsize=7.5, color=GREY)
            continue
        left = 0.0
        for name in CLASSES:
            axes.barh(y, row[name], left=left, height=0.62, linewidth=0.4, **_fill(name))
            left += row[name]


def _fill(name: str) -> dict[str, Any]:
    colour, hatch = FILLS[name]
    return {"facecolor": colour, "edgecolor": "#333333", "hatch": hatch}


def _caption(episodes: pd.DataFrame, shown: pd.DataFrame, several: bool) -> str:
    finished = int((episodes["status"] == "ok").sum())
    overall = shown[shown["task"] == shown["task"].iloc[0]] if len(shown) else shown
    used = int(overall["n_episodes"].sum())
    if not used:
        return f"{count(finished, 'finished episode')}. {ending(episodes)}"
    least, most = int(overall["n_seeds"].min()), int(overall["n_seeds"].max())
    parts = [
        "Bars: share of episodes that failed, no intervals; each failure counts once, as the first class",
        f"in the order of the legend that it meets. n={f'{least} to ' * (least < most)}{count(most, 'seed')}",
        *["with every task finished"] * (several and used < finished),
    ]
    counted = f"{f'{used} of ' * (used < finished)}{count(finished, 'episode')}"
    return f"{' '.join(parts)}, {counted}. {ending(episodes)}"
