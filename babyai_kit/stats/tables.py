"""Estimators on the `episodes` table: what it says about each variant, and how sure it is.

Knows the table's columns and who is averaged with whom; the intervals are made in `estimators`. Repeats are
averaged within their seed and task first. An error is not a failure of the agent: error rows are counted,
left out, and bounded by `success_bounds`. A figure over several tasks uses complete seed blocks only: quick
episodes finish first, so half a block would flatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.errors import InputError
from babyai_kit.runs.records import KEY_COLUMNS
from babyai_kit.stats.estimators import Estimate, clustered_success, nothing
from babyai_kit.stats.resampling import bootstrap

_Group = tuple[dict[str, Any], pd.DataFrame, list[str]]

ALL_TASKS = "all tasks"
"""Stands in a `task` column for all tasks together."""

SETTINGS = ("variant", "model", "num_dists", "history_length", "variant_digest")
"""Rows that differ in one of these are different agents or tasks and are never averaged together."""

MEASURES: dict[str, tuple[str, str | None]] = {
    "success": ("success", None),
    "episode_return": ("episode_return", None),
    "episode_length": ("episode_length", None),
    "length_given_success": ("_successful_steps", "success"),
    "optimality": ("_detour", "success"),
    "input_tokens": ("input_tokens", None),
    "output_tokens": ("output_tokens", None),
    "cost_usd": ("cost_usd", None),
    "tokens_per_success": ("_tokens", "success"),
    "cost_per_success": ("cost_usd", "success"),
}
"""Measure: (numerator, denominator). Without a denominator it is a mean, with one a ratio of two means.

`optimality` is the mean over successes of steps / shortest_length: 1 is the shortest way, 2 twice as long.
"""

SOURCES = {
    "length_given_success": ["episode_length"],
    "optimality": ["shortest_length"],
    "tokens_per_success": ["input_tokens", "output_tokens"],
    "cost_per_success": ["cost_usd"],
}
"""The columns without which a measure is not known; of other measures the one of their name."""


def cells(rows: pd.DataFrame, column: str, tasks: Sequence[str]) -> pd.DataFrame:
    """[seeds, tasks] of the means of `column` over repeats, seeds sorted; NaN where `rows` has no value."""
    means = rows.groupby(["seed", "task"])[column].mean().unstack("task")
    return means.reindex(columns=list(tasks)).astype(float)


def estimate(rows: pd.DataFrame, measure: str, tasks: Sequence[str]) -> Estimate:
    """`measure` (of MEASURES) over `tasks` from the prepared rows of one agent."""
    top, bottom = MEASURES[measure]
    columns = [top] if bottom is None else [top, bottom]
    finished = rows["status"] == "ok"
    used = rows[finished & rows["task"].isin(list(tasks))].dropna(subset=columns)
    errors = int((~finished).sum())
    if used.empty:
        reason = "none: not known" if finished.any() else "none: no finished episode"
        return replace(nothing(), n_errors=errors, interval=reason)
    matrices = [cells(used, column, tasks) for column in columns]
    if measure == "success":
        found = clustered_success(matrices[0].to_numpy())
    else:
        found = bootstrap(matrices[0].to_numpy(), matrices[1].to_numpy() if bottom else None)
    whole = matrices[0].index[matrices[0].notna().all(axis=1)]
    return replace(found, n_episodes=int(used["seed"].isin(whole).sum()), n_errors=errors)


def success_bounds(rows: pd.DataFrame, tasks: Sequence[str]) -> tuple[float, float]:
    """Success rate if every error and every missing cell had failed, and if each had succeeded (Manski 1990).

    Over all seeds of `rows`, also those whose block is incomplete; no error and nothing missing: both are the
    rate. They bound what is not known about these seeds, and say nothing of other seeds.
    """
    finished = rows["status"] == "ok"
    worst, best = (
        float(
            cells(rows.assign(success=rows["success"].where(finished, fill)), "success", tasks)
            .fillna(fill)
            .to_numpy()
            .mean(axis=1)  # in the order of clustered_success, so that equal rates are equal floats
            .mean()
        )
        for fill in (0.0, 1.0)
    )
    return worst, best


def groups(episodes: pd.DataFrame, by: Sequence[str]) -> tuple[list[str], list[_Group]]:
    """The table prepared and split: (columns that name a group, the groups as (names, rows, tasks)).

    Rows of one group are of one agent: SETTINGS that differ inside a group of `by` are added to the columns.
    The tasks are the group's own where `by` has "task", else all tasks of the table, so that overall figures
    of two variants are over the same tasks. Raises InputError for a table that can't be read so.
    """
    table = _prepared(episodes)
    columns: list[Any] = [by] if isinstance(by, str) else list(by)
    allowed = ("run", "task", *SETTINGS)
    if not columns or not set(columns) <= set(allowed):
        raise InputError(f"by={columns} can't group episodes; give some of {', '.join(allowed)}")
    inside = table.groupby(columns, dropna=False)
    columns += [s for s in SETTINGS if s not in columns and (inside[s].nunique(dropna=False) > 1).any()]
    everything = sorted(table["task"].unique())
    split = []
    for values, rows in table.groupby(columns, dropna=False) if len(table) else ():
        names = dict(zip(columns, values, strict=True))
        split.append((names, rows, [names["task"]] if "task" in names else everything))
    return columns, split


def estimates(episodes: pd.DataFrame, measure: str, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """One measure, a row per group: the group's columns, then the fields of Estimate, then worst and best
    (`success_bounds`; NaN for other measures than success)."""
    if measure not in MEASURES:
        raise InputError(f"unknown measure {measure!r}; use one of {', '.join(MEASURES)}")
    columns, split = groups(episodes, by)
    rows = []
    for names, group, tasks in split:
        worst, best = success_bounds(group, tasks) if measure == "success" else (np.nan, np.nan)
        rows.append(names | asdict(estimate(group, measure, tasks)) | {"worst": worst, "best": best})
    return pd.DataFrame(rows, columns=[*columns, *(f.name for f in fields(Estimate)), "worst", "best"])


def summarize(episodes: pd.DataFrame, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """All measures, a row per group, sorted. Per variant; with by=("variant", "task") per variant and task.

    Columns: those of `by` (and SETTINGS that differ inside, see `groups`); n_seeds, n_episodes (behind the
    success rate), n_errors; for each of MEASURES its value NAME, NAME_low, NAME_high, NAME_interval (the
    kind, see Estimate) and NAME_seeds (seeds behind it: fewer than n_seeds where tokens or prices are
    unknown); success_worst and success_best (`success_bounds`). Tokens per success are input plus output.
    """
    columns, split = groups(episodes, by)
    columns += ["n_seeds", "n_episodes", "n_errors"]
    for name in MEASURES:
        columns += [name, f"{name}_low", f"{name}_high", f"{name}_interval", f"{name}_seeds"]
    rows = []
    for row, group, tasks in split:
        for name in MEASURES:
            e = estimate(group, name, tasks)
            values = {
                "": e.value,
                "_low": e.low,
                "_high": e.high,
                "_interval": e.interval,
                "_seeds": e.n_seeds,
            }
            row |= {name + suffix: value for suffix, value in values.items()}
            if name == "success":
                row |= {"n_seeds": e.n_seeds, "n_episodes": e.n_episodes, "n_errors": e.n_errors}
        row["success_worst"], row["success_best"] = success_bounds(group, tasks)
        rows.append(row)
    return pd.DataFrame(rows, columns=[*columns, "success_worst", "success_best"])


def _prepared(episodes: pd.DataFrame) -> pd.DataFrame:
    """A checked copy with float columns, and the sums that the ratios need."""
    figures = ["success", "episode_return", "episode_length", "shortest_length"]
    figures += ["input_tokens", "output_tokens", "cost_usd"]
    needed = [*KEY_COLUMNS, "variant_digest", "status", *figures]
    if missing := [c for c in needed if c not in episodes.columns]:
        raise InputError(f"episodes lacks the columns {', '.join(missing)}; give a table of load_episodes")
    table = episodes[needed].reset_index(drop=True)
    try:
        for column in figures:
            table[column] = [np.nan if pd.isna(v) else float(v) for v in table[column]]
    except (TypeError, ValueError) as e:
        raise InputError(
            f"column {column} holds what is no number ({e}); give a table of load_episodes"
        ) from e
    finished = table["status"] == "ok"
    if not (finished | (table["status"] == "error")).all():
        raise InputError("a status is neither 'ok' nor 'error'; give a table of load_episodes")
    if not table.loc[finished, "success"].isin([0.0, 1.0]).all():
        raise InputError(
            "a finished episode's success is neither true nor false; give a table of load_episodes"
        )
    if table.duplicated([*KEY_COLUMNS, "variant_digest"]).any():
        raise InputError("episodes holds an episode twice; drop_duplicates() or give one source only")
    table["_successful_steps"] = table["episode_length"] * table["success"]
    if (table["shortest_length"] <= 0).any():
        raise InputError("a shortest_length is not above 0; give a table of load_episodes")
    table["_detour"] = table["_successful_steps"] / table["shortest_length"]
    table["_tokens"] = table["input_tokens"] + table["output_tokens"]
    return table
