"""Success against what it takes: which agents no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from babyai_kit.stats.estimators import Array
from babyai_kit.stats.tables import estimates, groups


def trade_off(episodes: pd.DataFrame, measure: str, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """Success and `measure` (of MEASURES; the less, the better) over all tasks, a row per agent.

    Columns: `by` (and SETTINGS that differ, see `groups`); value, low, high, interval, n_seeds, n_episodes of
    `measure`; success, and the same fields of it, as success_low; on_front: whether no other agent dominates
    this one (see `on_front`), False where either of the two is not known.
    """
    columns, _ = groups(episodes, by)
    fields = ["value", "low", "high", "interval", "n_seeds", "n_episodes"]
    table = estimates(episodes, measure, columns)[[*columns, *fields]]
    success = estimates(episodes, "success", columns)
    table["success"] = success["value"]
    table[[f"success_{field}" for field in fields[1:]]] = success[fields[1:]]
    table["on_front"] = on_front(table["value"].to_numpy(float), table["success"].to_numpy(float))
    return table


def on_front(takes: Array, gives: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which points are on the Pareto front: those that no other point dominates.

    A point dominates another if it takes no more and gives no less, and is better in one of the two. Equal
    points are on it together; a point with a NaN is not, and dominates none.
    """
    no_more = takes[:, None] <= takes
    no_less = gives[:, None] >= gives
    better = (takes[:, None] < takes) | (gives[:, None] > gives)
    return ~(no_more & no_less & better).any(axis=0) & ~np.isnan(takes) & ~np.isnan(gives)
