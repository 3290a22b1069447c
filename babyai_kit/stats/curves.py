"""Curves: the share of episodes beyond every threshold, with a band.

Knows the table's columns. `return_profiles` are the performance profiles of Agarwal et al. 2021 (arXiv
2108.13264, rliable) with seeds resampled as wholes; `success_by_step` is the success rate that a limit of so
many steps would have given, with the intervals of the success rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.errors import InputError
from babyai_kit.stats.estimators import Array, clustered_success
from babyai_kit.stats.resampling import ONE_SEED, PERCENTILE, expanded_levels, resampled_means
from babyai_kit.stats.tables import ALL_TASKS, groups

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
    at = np.asarray(np.linspace(0, 1, 51) if thresholds is None else thresholds, dtype=np.float64)
    if at.ndim != 1 or not len(at) or np.isnan(at).any():
        raise InputError("thresholds are no list of numbers; give some between 0 and 1")
    return _curves(episodes, by, at, _above, _resampled)


def success_by_step(episodes: pd.DataFrame, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """Share of episodes that reached the goal within so many steps, from 0 to the task's longest episode.

    Columns as of `return_profiles`; the interval at each threshold is that of the success rate.
    """
    if "status" not in episodes or "episode_length" not in episodes:
        groups(episodes, by)  # says what is missing
    longest = episodes[episodes["status"] == "ok"].groupby("task")["episode_length"].max()
    at = np.arange((longest.max() if len(longest) else 0) + 1, dtype=np.float64)
    found = _curves(episodes, by, at, _within, _clustered)
    last = found["task"].map(longest).fillna(np.inf)
    return found[found["threshold"] <= last].reset_index(drop=True)


def _above(rows: pd.DataFrame, at: Array) -> Array:
    above: Array = (rows["episode_return"].to_numpy()[:, None] > at).astype(float)
    return above


def _within(rows: pd.DataFrame, at: Array) -> Array:
    reached = (rows["success"].to_numpy() == 1)[:, None]
    within: Array = (reached & (rows["episode_length"].to_numpy()[:, None] <= at)).astype(float)
    return within


def _curves(
    episodes: pd.DataFrame,
    by: Sequence[str],
    at: Array,
    beyond: Callable[[pd.DataFrame, Array], Array],
    band: Callable[[Array], Band],
) -> pd.DataFrame:
    """`beyond` makes 0 or 1 [rows, thresholds]; `band` is given [seeds, tasks, thresholds]."""
    if "task" in by:
        raise InputError("every task has its own curve already; leave task out of by")
    columns, split = groups(episodes, by)
    parts = []
    for names, rows, tasks in split:
        finished = rows[rows["status"] == "ok"]
        means = pd.DataFrame(beyond(finished, at))
        cells = means.groupby([finished["seed"].to_numpy(), finished["task"].to_numpy()]).mean()
        for task in (ALL_TASKS, *tasks):
            wanted = list(tasks) if task == ALL_TASKS else [task]
            blocks = _blocks(cells, wanted, len(at))
            value, low, high, kinds = band(blocks)
            there = finished["seed"].isin(_whole(cells, wanted)) & finished["task"].isin(wanted)
            errors = int(((rows["status"] != "ok") & rows["task"].isin(wanted)).sum())
            found: dict[str, Any] = dict(names) | {"task": task, "threshold": at, "value": value, "low": low}
            found |= {"high": high, "interval": kinds, "n_seeds": len(blocks)}
            parts.append(pd.DataFrame(found | {"n_episodes": int(there.sum()), "n_errors": errors}))
    order = [*[c for c in columns if c != "task"], "task", *COLUMNS]
    return pd.concat(parts, ignore_index=True)[order] if parts else pd.DataFrame(columns=order)


def _whole(cells: pd.DataFrame, tasks: list[str]) -> list[Any]:
    """The seeds that have a cell of every task."""
    seeds = [set(cells.index[cells.index.get_level_values(1) == t].get_level_values(0)) for t in tasks]
    return sorted(set.intersection(*seeds)) if seeds else []


def _blocks(cells: pd.DataFrame, tasks: list[str], thresholds: int) -> Array:
    """[complete seeds, tasks, thresholds]."""
    seeds = _whole(cells, tasks)
    if not seeds:
        return np.empty((0, len(tasks), thresholds))
    index = pd.MultiIndex.from_product([seeds, tasks])
    return cells.reindex(index).to_numpy().reshape(len(seeds), len(tasks), thresholds)


def _resampled(blocks: Array) -> Band:
    means = blocks.mean(axis=1)
    n, thresholds = means.shape
    nothing = np.full(thresholds, np.nan)
    if n < 2:
        reason = ONE_SEED if n else "none: no complete seed block"
        return means.mean(axis=0) if n else nothing, nothing, nothing, [reason] * thresholds
    value = means.mean(axis=0)
    low, high = np.quantile(resampled_means(means), expanded_levels(n), axis=0)
    return value, np.minimum(low, value), np.maximum(high, value), [PERCENTILE] * thresholds


def _clustered(blocks: Array) -> Band:
    found = [clustered_success(blocks[:, :, i]) for i in range(blocks.shape[2])]
    value, low, high = (np.array([getattr(e, name) for e in found]) for name in ("value", "low", "high"))
    return value, low, high, [e.interval for e in found]
