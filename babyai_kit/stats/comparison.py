"""`compare`: every agent of an `episodes` table against a baseline, on the seeds that both finished.

Knows the table's columns and who is paired with whom; the differences are made in `paired`. Repeats are
averaged within their seed and task first; errors are left out, counted and bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.errors import InputError, NoSharedSeedsError, UnknownBaselineError
from babyai_kit.stats.paired import Difference, holm, no_difference, paired_bootstrap, paired_success
from babyai_kit.stats.tables import ALL_TASKS, MEASURES, cells, groups

COLUMNS = (
    *("value", "baseline_value", "difference", "low", "high", "interval", "p_value", "p_holm", "test"),
    *("detectable", "n_seeds", "n_pairs", "n_left_out", "n_errors"),
    *("only_agent", "only_baseline", "n_discordant", "worst", "best"),
)


def compare(
    episodes: pd.DataFrame,
    baseline: str | Mapping[str, Any] = "baseline",
    *,
    measures: Sequence[str] | None = None,
    by: Sequence[str] = ("variant",),
) -> pd.DataFrame:
    """Every agent against `baseline`: a row per measure, task (first ALL_TASKS) and agent, in that order.

    `baseline`: a variant or, where several agents bear its name, its settings, like {"variant": "baseline",
    "model": "small"}. `measures`: of MEASURES, default all. `by`: what makes an agent, as in `summarize`;
    two runs at different temperatures are told apart by ("run",).

    Columns: measure; task; the agent (`by`, and model and other settings where they differ); num_dists if
    there are several (each is compared by itself); baseline (its name); the fields of `Difference`; and
    - p_holm: p_value corrected over the agents compared on that measure and task (Holm 1979);
    - n_left_out: seeds of either that are not in the figure, since not both finished them on every task;
    - n_errors: error rows of both on these tasks, none of which is in the figure;
    - n_discordant: only_agent + only_baseline;
    - worst, best: of the difference in success over the seeds of either, whatever the errors and the missing
      episodes would have been (Manski 1990); NaN for other measures.

    Differences of length_given_success, optimality and per success are between each agent's own successes.
    Raises UnknownBaselineError, NoSharedSeedsError, or InputError for a table that can't be read.
    """
    measures = list(MEASURES) if measures is None else list(measures)
    if unknown := [m for m in measures if m not in MEASURES]:
        raise InputError(f"unknown measure {unknown[0]!r}; use some of {', '.join(MEASURES)}")
    by = [by] if isinstance(by, str) else list(by)
    keys, rows = list(by), []
    levels = sorted(episodes["num_dists"].unique()) if "num_dists" in episodes else []
    for level in levels or [0]:
        level_rows = episodes[episodes["num_dists"] == level] if levels else episodes
        found, compared = _level(level_rows, baseline, measures, by)
        keys += [k for k in found if k not in keys]
        rows += [{"num_dists": level} | row for row in compared]
    if len(levels) > 1:
        keys.append("num_dists")
    table = pd.DataFrame(rows, columns=["measure", "task", *keys, "baseline", *COLUMNS])
    return _corrected(table, len(levels) > 1)


def _level(
    episodes: pd.DataFrame, baseline: str | Mapping[str, Any], measures: list[str], by: Sequence[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """(columns that name an agent, rows) of the episodes of one num_dists."""
    columns, split = groups(episodes, by)
    if len(split) and "model" not in columns and episodes["model"].nunique() > 1:
        columns, split = groups(episodes, [*columns, "model"])
    at = _baseline(columns, split, baseline)
    names, base, tasks = split[at]
    label = ", ".join(str(names[c]) for c in columns)
    others = [(agent, rows) for i, (agent, rows, _) in enumerate(split) if i != at]
    for agent, rows in others:
        if not set(rows["seed"]) & set(base["seed"]):
            who = ", ".join(str(agent[c]) for c in columns)
            raise NoSharedSeedsError(f"{who} and {label} share no seed; run both on the same seeds")
    found = [
        {"measure": measure, "task": task}
        | agent
        | {"baseline": label}
        | _row(rows, base, measure, tasks if task == ALL_TASKS else [task])
        for measure in measures
        for task in (ALL_TASKS, *tasks)
        for agent, rows in others
    ]
    return columns, found


def _baseline(columns: list[str], split: list[Any], baseline: str | Mapping[str, Any]) -> int:
    """Which of the agents is meant."""
    wanted = {columns[0]: baseline} if isinstance(baseline, str) else dict(baseline)
    agents = [{c: names[c] for c in columns} for names, _, _ in split]
    if not wanted or not set(wanted) <= set(columns):
        raise UnknownBaselineError(f"baseline {baseline} names no agent; tell it by {', '.join(columns)}")
    matching = [i for i, a in enumerate(agents) if all(str(a[k]) == str(v) for k, v in wanted.items())]
    if len(matching) == 1:
        return matching[0]
    choice = [agents[i] for i in matching] or agents
    listed = "; ".join(", ".join(f"{k}={v}" for k, v in agent.items()) for agent in choice) or "no agent"
    number = "no agent" if not matching else f"{len(matching)} agents"
    raise UnknownBaselineError(f"baseline {baseline!r} fits {number}; choose one of: {listed}")


def _row(rows: pd.DataFrame, base: pd.DataFrame, measure: str, tasks: Sequence[str]) -> dict[str, Any]:
    """The figures of one row."""
    rows, base = (r[r["task"].isin(list(tasks))] for r in (rows, base))
    seeds = sorted(set(rows["seed"]) | set(base["seed"]))
    found = _difference(rows, base, measure, tasks, seeds)
    worst, best = _bounds(rows, base, tasks, seeds) if measure == "success" else (np.nan, np.nan)
    errors = sum(int((r["status"] != "ok").sum()) for r in (rows, base))
    counted = {"n_left_out": len(seeds) - found.n_seeds, "n_errors": errors}
    return vars(found) | counted | {"n_discordant": found.n_discordant, "worst": worst, "best": best}


def _difference(
    rows: pd.DataFrame, base: pd.DataFrame, measure: str, tasks: Sequence[str], seeds: list[int]
) -> Difference:
    top, bottom = MEASURES[measure]
    columns = [top] if bottom is None else [top, bottom]
    finished = [r[r["status"] == "ok"] for r in (rows, base)]
    if any(r.empty for r in finished):
        return no_difference("none: no finished episode")
    known = [r.dropna(subset=columns) for r in finished]
    if any(r.empty for r in known):
        return no_difference("none: not known")
    matrices = [cells(r, column, tasks).reindex(seeds).to_numpy() for column in columns for r in known]
    if measure == "success":
        return paired_success(*matrices)
    return paired_bootstrap(*matrices)


def _bounds(
    rows: pd.DataFrame, base: pd.DataFrame, tasks: Sequence[str], seeds: list[int]
) -> tuple[float, float]:
    """The least and the greatest difference in success that what is unknown allows."""

    def rate(r: pd.DataFrame, fill: float) -> float:
        known = r.assign(success=r["success"].where(r["status"] == "ok", fill))
        filled = cells(known, "success", tasks).reindex(seeds).fillna(fill)
        return float(filled.to_numpy().mean(axis=1).mean())

    return rate(rows, 0.0) - rate(base, 1.0), rate(rows, 1.0) - rate(base, 0.0)


def _corrected(table: pd.DataFrame, levels: bool) -> pd.DataFrame:
    """With p_holm, a family per measure and task (and num_dists)."""
    family = ["measure", "task", *(["num_dists"] if levels else [])]
    for at in table.groupby(family).groups.values():
        table.loc[at, "p_holm"] = holm(table.loc[at, "p_value"].to_numpy(dtype=float))
    return table
