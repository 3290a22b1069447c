"""Estimators on the `episodes` table: what it says about each variant, and how sure it is.

Here columns are read and episodes averaged; `estimators` and `resampling` make the intervals. Repeats are
averaged within their seed and task first. An error is not a failure of the agent: error rows are counted,
left out, and bounded by `success_bounds`. A figure over several tasks uses complete seed blocks only: quick
episodes finish first, so half a block would flatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from babyai_kit.configuration.models import is_free
from babyai_kit.errors import InputError
from babyai_kit.runs.records import KEY_COLUMNS
from babyai_kit.stats.estimators import NO_EPISODE, NOT_KNOWN, Estimate, clustered_success
from babyai_kit.stats.measures import MEASURES, Measure, measure_of
from babyai_kit.stats.resampling import bootstrap

ALL_TASKS = "all tasks"
"""Stands in a `task` column for all tasks together."""

SETTINGS = ("variant", "model", "num_dists", "history_length", "variant_digest")
"""Rows that differ in one of these are different agents or tasks and are never averaged together."""


class Group(NamedTuple):
    """Rows of one agent, and the tasks that figures over all tasks are about."""

    names: dict[str, Any]
    """The columns that name the group, with their values."""
    rows: pd.DataFrame
    tasks: list[str]


def finished(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that ended without an error."""
    return rows[rows["status"] == "ok"]


def count_errors(rows: pd.DataFrame) -> int:
    """How many of the rows ended with an error."""
    return int((rows["status"] != "ok").sum())


def with_free_models(episodes: pd.DataFrame) -> pd.DataFrame:
    """The table, in which models of this machine cost nothing beside others whose cost is known.

    Where nobody's is known they have none either, so that nothing is said of costs.
    """
    costs, free = episodes["cost_usd"], episodes["model"].map(is_free).astype(bool)
    if not costs[~free].notna().any():
        return episodes
    return episodes.assign(cost_usd=costs.mask(free & costs.isna(), 0.0))


def cells(rows: pd.DataFrame, column: str, tasks: Sequence[str]) -> pd.DataFrame:
    """[seeds, tasks] of the means of `column` over repeats, seeds sorted; NaN where `rows` has no value."""
    means = rows.groupby(["seed", "task"])[column].mean().unstack("task")
    return means.reindex(columns=list(tasks)).astype(float)


def matrices(rows: pd.DataFrame, measure: Measure, tasks: Sequence[str]) -> list[pd.DataFrame]:
    """`cells` of the numerator and, if there is one, of the denominator."""
    return [cells(rows, column, tasks) for column in measure.terms]


def known(rows: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """The prepared rows that have what `measure` is made of."""
    return rows.dropna(subset=list(measure.terms))


def estimate(rows: pd.DataFrame, measure: str, tasks: Sequence[str]) -> Estimate:
    """`measure` (of MEASURES) over `tasks` from the prepared rows of one agent."""
    definition = measure_of(measure)
    done = finished(rows)
    errors = count_errors(rows)
    used = known(done[done["task"].isin(list(tasks))], definition)
    if used.empty:
        return Estimate(n_errors=errors, interval=NO_EPISODE if done.empty else NOT_KNOWN)
    parts = matrices(used, definition, tasks)
    arrays = [part.to_numpy() for part in parts]
    result = clustered_success(arrays[0]) if definition.is_rate else bootstrap(*arrays)
    complete = parts[0].dropna().index
    return replace(result, n_episodes=int(used["seed"].isin(complete).sum()), n_errors=errors)


def success_bounds(
    rows: pd.DataFrame, tasks: Sequence[str], seeds: list[int] | None = None
) -> tuple[float, float]:
    """Success rate if every error and every missing cell had failed, and if each had succeeded (Manski 1990).

    Over `seeds`, by default all of `rows`, also those whose block is incomplete; without errors and gaps both
    are the rate. They bound what is not known about these seeds, and say nothing of other seeds.
    """
    seeds = sorted(rows["seed"].unique()) if seeds is None else seeds
    bounds = []
    for fill in (0.0, 1.0):
        outcomes = rows.assign(success=rows["success"].where(rows["status"] == "ok", fill))
        matrix = cells(outcomes, "success", tasks).reindex(seeds).fillna(fill).to_numpy()
        # In the order of clustered_success, so that equal rates are equal floats.
        bounds.append(float(matrix.mean(axis=1).mean()))
    return bounds[0], bounds[1]


def groups(episodes: pd.DataFrame, by: Sequence[str]) -> tuple[list[str], list[Group]]:
    """The table prepared and split: the columns that name a group, and the groups.

    Rows of one group are of one agent: SETTINGS that differ inside a group of `by` are added to the columns.
    The tasks are the group's own where `by` has "task", else all tasks of the table, so that overall figures
    of two variants are over the same tasks. Raises InputError for a table that can't be read so.
    """
    table = _prepared(episodes)
    columns: list[Any] = [by] if isinstance(by, str) else list(by)
    allowed = ("run", "task", *SETTINGS)
    if not columns or not set(columns) <= set(allowed):
        raise InputError(f"episodes can't be grouped by {columns}; use some of {', '.join(allowed)}")
    for setting in SETTINGS:  # one that another tells already, as a model its digest, is no column
        if (
            setting not in columns
            and (table.groupby(columns, dropna=False)[setting].nunique(dropna=False) > 1).any()
        ):
            columns.append(setting)
    all_tasks = sorted(table["task"].unique())
    split = []
    for values, rows in table.groupby(columns, dropna=False) if len(table) else ():
        names = dict(zip(columns, values, strict=True))
        split.append(Group(names, rows, [names["task"]] if "task" in names else all_tasks))
    return columns, split


def estimates(episodes: pd.DataFrame, measure: str, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """One measure, a row per group: the group's columns, then the fields of Estimate, then worst and best
    (`success_bounds`; NaN for other measures than success)."""
    is_rate = measure_of(measure).is_rate
    columns, split = groups(episodes, by)
    table = []
    for names, rows, tasks in split:
        worst, best = success_bounds(rows, tasks) if is_rate else (np.nan, np.nan)
        table.append(names | asdict(estimate(rows, measure, tasks)) | {"worst": worst, "best": best})
    return pd.DataFrame(table, columns=[*columns, *(f.name for f in fields(Estimate)), "worst", "best"])


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
    table = []
    for names, rows, tasks in split:
        row = dict(names)
        for name in MEASURES:
            e = estimate(rows, name, tasks)
            row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
            row |= {f"{name}_interval": e.interval, f"{name}_seeds": e.n_seeds}
            if name == "success":
                row |= {"n_seeds": e.n_seeds, "n_episodes": e.n_episodes, "n_errors": e.n_errors}
        row["success_worst"], row["success_best"] = success_bounds(rows, tasks)
        table.append(row)
    return pd.DataFrame(table, columns=[*columns, "success_worst", "success_best"])


def _prepared(episodes: pd.DataFrame) -> pd.DataFrame:
    """A checked copy with float columns, and the sums that the measures need."""
    figures = ["success", "episode_return", "episode_length", "shortest_length"]
    figures += ["input_tokens", "output_tokens", "cost_usd"]
    needed = [*KEY_COLUMNS, "variant_digest", "status", *figures]
    if missing := [c for c in needed if c not in episodes.columns]:
        raise InputError(f"episodes lacks the columns {', '.join(missing)}; pass a table of load_episodes")
    table = episodes[needed].reset_index(drop=True)
    try:
        for column in figures:
            table[column] = [np.nan if pd.isna(v) else float(v) for v in table[column]]
    except (TypeError, ValueError) as e:
        raise InputError(f"column {column} must be numeric ({e}); pass a table of load_episodes") from e
    if not table["status"].isin(["ok", "error"]).all():
        raise InputError("status must be 'ok' or 'error'; pass a table of load_episodes")
    if not finished(table)["success"].isin([0.0, 1.0]).all():
        raise InputError("success of a finished episode must be true or false; pass a table of load_episodes")
    if table.duplicated([*KEY_COLUMNS, "variant_digest"]).any():
        raise InputError("an episode occurs twice; use drop_duplicates() or pass one source only")
    if (table["shortest_length"] <= 0).any():
        raise InputError("shortest_length must be above 0; pass a table of load_episodes")
    table = with_free_models(table)
    table["_successful_steps"] = table["episode_length"] * table["success"]
    table["_detour"] = table["_successful_steps"] / table["shortest_length"]
    table["tokens"] = table["input_tokens"] + table["output_tokens"]
    return table
