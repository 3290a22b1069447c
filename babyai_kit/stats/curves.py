"""Curves: the share of episodes beyond every threshold, with a band.

`return_profiles` are the performance profiles of Agarwal et al. 2021 (arXiv
2108.13264, rliable) with seeds resampled as wholes; `success_by_step` is the success rate that a limit of so
many steps would have given, with the intervals of the success rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.errors import InputError
from babyai_kit.stats.estimators import NO_BLOCK, Array, clustered_success
from babyai_kit.stats.resampling import ONE_SEED, PERCENTILE, expanded_levels, resampled_means
from babyai_kit.stats.tables import ALL_TASKS, count_errors, finished, groups

Band = tuple[Array, Array, Array, list[str]]
"""Value, low, high [thresholds], and the interval's kind at each."""

COLUMNS = ("threshold", "value", "low", "high", "interval", "n_seeds", "n_episodes", "n_errors")


def return_profiles(
    episodes: pd.DataFrame, by: Sequence[str] = ("variant",), thresholds: Sequence[float] | None = None
) -> pd.DataFrame:
    """Share of episodes whose return is above each threshold (default 0 to 1 in steps of .02).

    A row per agent (`by` and SETTINGS that differ, see `groups`), task or ALL_TASKS, and threshold. Columns:
    those, threshold, value, low, high (pointwise 95% percentile bootstrap over seeds), interval, n_seeds,
    n_episodes, n_errors. Repeats are averaged within their seed; over all tasks only complete seed blocks.
    """
    points = np.asarray(np.linspace(0, 1, 51) if thresholds is None else thresholds, dtype=np.float64)
    if points.ndim != 1 or not len(points) or np.isnan(points).any():
        raise InputError("thresholds must be a list of numbers; use some between 0 and 1")
    return _curves(episodes, by, points, _above, _resampled_band)


def success_by_step(episodes: pd.DataFrame, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """Share of episodes that reached the goal within so many steps, from 0 to the task's longest episode.

    Columns as of `return_profiles`; the interval at each threshold is that of the success rate.
    """
    if "status" not in episodes or "episode_length" not in episodes:
        groups(episodes, by)  # says what is missing
    longest = finished(episodes).groupby("task")["episode_length"].max()
    steps = np.arange((longest.max() if len(longest) else 0) + 1, dtype=np.float64)
    curves = _curves(episodes, by, steps, _within, _rate_band)
    last = curves["task"].map(longest).fillna(np.inf)
    return curves[curves["threshold"] <= last].reset_index(drop=True)


def _above(rows: pd.DataFrame, thresholds: Array) -> Array:
    above: Array = (rows["episode_return"].to_numpy()[:, None] > thresholds).astype(float)
    return above


def _within(rows: pd.DataFrame, thresholds: Array) -> Array:
    reached = (rows["success"].to_numpy() == 1)[:, None]
    within: Array = (reached & (rows["episode_length"].to_numpy()[:, None] <= thresholds)).astype(float)
    return within


def _curves(
    episodes: pd.DataFrame,
    by: Sequence[str],
    thresholds: Array,
    beyond: Callable[[pd.DataFrame, Array], Array],
    band: Callable[[Array], Band],
) -> pd.DataFrame:
    """`beyond` makes 0 or 1 [rows, thresholds]; `band` is given [seeds, tasks, thresholds]."""
    if "task" in by:
        raise InputError("every task has a curve of its own already; leave task out of by")
    columns, split = groups(episodes, by)
    parts = []
    for names, rows, all_tasks in split:
        done = finished(rows)
        shares = pd.DataFrame(beyond(done, thresholds))
        cells = shares.groupby([done["seed"].to_numpy(), done["task"].to_numpy()]).mean()
        for task in (ALL_TASKS, *all_tasks):
            tasks = all_tasks if task == ALL_TASKS else [task]
            seeds = _complete_seeds(cells, tasks)
            value, low, high, kinds = band(_blocks(cells, seeds, tasks))
            curve: dict[str, Any] = names | {"task": task, "threshold": thresholds, "value": value}
            curve |= {"low": low, "high": high, "interval": kinds, "n_seeds": len(seeds)}
            curve["n_episodes"] = int((done["seed"].isin(seeds) & done["task"].isin(tasks)).sum())
            curve["n_errors"] = count_errors(rows[rows["task"].isin(tasks)])
            parts.append(pd.DataFrame(curve))
    order = [*columns, "task", *COLUMNS]
    return pd.concat(parts, ignore_index=True)[order] if parts else pd.DataFrame(columns=order)


def _complete_seeds(cells: pd.DataFrame, tasks: list[str]) -> list[Any]:
    """The seeds that have a cell of every task."""
    seeds = [set(cells.index[cells.index.get_level_values(1) == t].get_level_values(0)) for t in tasks]
    return sorted(set.intersection(*seeds))


def _blocks(cells: pd.DataFrame, seeds: list[Any], tasks: list[str]) -> Array:
    """[seeds, tasks, thresholds]."""
    index = pd.MultiIndex.from_product([seeds, tasks])
    return cells.reindex(index).to_numpy().reshape(len(seeds), len(tasks), cells.shape[1])


def _resampled_band(blocks: Array) -> Band:
    means = blocks.mean(axis=1)
    n, thresholds = means.shape
    unknown = np.full(thresholds, np.nan)
    if n == 0:
        return unknown, unknown, unknown, [NO_BLOCK] * thresholds
    value = means.mean(axis=0)
    if n == 1:
        return value, unknown, unknown, [ONE_SEED] * thresholds
    low, high = np.quantile(resampled_means(means), expanded_levels(n), axis=0)
    return value, np.minimum(low, value), np.maximum(high, value), [PERCENTILE] * thresholds


def _rate_band(blocks: Array) -> Band:
    rates = [clustered_success(blocks[:, :, i]) for i in range(blocks.shape[2])]
    value, low, high = (np.array([getattr(e, name) for e in rates]) for name in ("value", "low", "high"))
    return value, low, high, [e.interval for e in rates]
