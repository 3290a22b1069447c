"""What a run came to, agent by agent: counts, and figures by the kit's estimators.

An agent is a variant and its model; where a variant was asked for with several history lengths, each is one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from babyai_kit.hostile_text import visible
from babyai_kit.runs.episode_table import to_frame
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord
from babyai_kit.stats import MEASURES, cells, complete_blocks, count_errors, estimate, finished, groups

MEANS = {
    "episodeReturn": "episode_return",
    "steps": "episode_length",
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cost": "cost_usd",
}
"""The measures of a row beside success."""


class AgentNames:
    """The names of a run's agents."""

    def __init__(self, keys: Iterable[EpisodeKey]) -> None:
        lengths = {(key.variant, key.history_length) for key in keys}
        self._several = {v for v, count in Counter(variant for variant, _ in lengths).items() if count > 1}

    def of(self, key: EpisodeKey) -> str:
        """`history`, or `history, 4 steps` where it also has other history lengths."""
        if key.variant not in self._several:
            return key.variant
        return f"{key.variant}, {key.history_length} step{'s' * (key.history_length != 1)}"


def table_of(records: Iterable[EpisodeRecord], names: AgentNames) -> pd.DataFrame:
    """The `episodes` table of these episodes, in which a variant is called as its agent."""
    frame = to_frame(records)
    keys = (EpisodeKey(*values) for values in frame[_KEY].itertuples(index=False, name=None))
    return frame.assign(variant=[names.of(key) for key in keys])


def agent_rows(episodes: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per agent of a table of `table_of`; and per number of distracting objects, if they differ."""
    if episodes.empty:
        return []
    columns, split = groups(episodes, ("variant", "model"))
    several = "num_dists" in columns
    table = []
    for names, rows, tasks in split:
        done = finished(episodes.loc[rows.index])
        steps = done["episode_length"].sum()
        row = {
            "agent": visible(names["variant"]),
            "model": visible(names["model"]),
            "distractors": int(names["num_dists"]) if several else None,
            "invalid": number(done["invalid_actions"].sum() / steps) if steps else None,
        }
        table.append(row | _figures(rows, tasks))
    return table


def _figures(rows: pd.DataFrame, tasks: list[str]) -> dict[str, Any]:
    success = estimate(rows, "success", tasks)
    done = finished(rows)
    return {
        "finished": len(done),
        "errors": count_errors(rows),
        "success": number(success.value),
        "low": number(success.low),
        "high": number(success.high),
        **{name: _mean(done, measure, tasks) for name, measure in MEANS.items()},
    }


def _mean(done: pd.DataFrame, measure: str, tasks: list[str]) -> float | None:
    """The value that `estimate` has, without the interval, which takes it long."""
    known = done.dropna(subset=list(MEASURES[measure].columns))
    blocks = complete_blocks(cells(known, measure, tasks).to_numpy())
    return number(blocks.mean(axis=1).mean()) if len(blocks) else None


def number(value: Any) -> float | None:
    """`value` for JSON, which has no NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


_KEY = list(EpisodeKey.__dataclass_fields__)
