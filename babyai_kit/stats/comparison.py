"""`compare`: every agent of an `episodes` table against a baseline, on the seeds that both finished.

Here agents are paired and rows selected; `paired` makes the differences. Repeats are averaged within their
seed and task first; errors are left out, counted and bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.errors import NoSharedSeedsError, UnknownBaselineError
from babyai_kit.stats.estimators import NO_EPISODE, NOT_KNOWN
from babyai_kit.stats.measures import MEASURES, Measure, measure_of
from babyai_kit.stats.paired import Difference, holm, paired_bootstrap, paired_success
from babyai_kit.stats.tables import (
    ALL_TASKS,
    Group,
    count_errors,
    finished,
    groups,
    known,
    matrices,
    success_bounds,
)

COLUMNS = [
    "value", "baseline_value", "difference", "low", "high", "interval", "p_value", "p_holm", "test",
    "detectable", "n_seeds", "n_pairs", "n_left_out", "n_errors", "only_agent", "only_baseline",
    "n_discordant", "worst", "best",
]  # fmt: skip


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
    chosen = [measure_of(name) for name in (MEASURES if measures is None else measures)]
    by = [by] if isinstance(by, str) else list(by)
    keys, table = list(by), []
    levels = sorted(episodes["num_dists"].unique()) if "num_dists" in episodes else []
    for level in levels or [0]:
        level_episodes = episodes[episodes["num_dists"] == level] if levels else episodes
        columns, rows = _compare_level(level_episodes, baseline, chosen, by)
        keys += [column for column in columns if column not in keys]
        table += [{"num_dists": level} | row for row in rows]
    family = ["measure", "task"]
    if len(levels) > 1:
        keys.append("num_dists")
        family.append("num_dists")
    return _corrected(pd.DataFrame(table, columns=["measure", "task", *keys, "baseline", *COLUMNS]), family)


def agent_columns(comparison: pd.DataFrame) -> list[str]:
    """The columns of `compare` that name an agent."""
    columns = list(comparison.columns)
    return columns[columns.index("task") + 1 : columns.index("baseline")]


def _compare_level(
    episodes: pd.DataFrame, baseline: str | Mapping[str, Any], measures: list[Measure], by: Sequence[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """(columns that name an agent, rows) of the episodes of one num_dists."""
    columns, split = _agents(episodes, by)
    base = _find_baseline(columns, split, baseline)
    base_name = _name_of(base)
    agents = [group for group in split if group is not base]
    for agent in agents:
        if not set(agent.rows["seed"]) & set(base.rows["seed"]):
            raise NoSharedSeedsError(
                f"{_name_of(agent)} and {base_name} share no seed; run both on the same seeds"
            )
    rows = [
        {"measure": measure.name, "task": task}
        | agent.names
        | {"baseline": base_name}
        | _row(agent.rows, base.rows, measure, base.tasks if task == ALL_TASKS else [task])
        for measure in measures
        for task in (ALL_TASKS, *base.tasks)
        for agent in agents
    ]
    return columns, rows


def check_baseline(episodes: pd.DataFrame, baseline: str | Mapping[str, Any]) -> None:
    """Raises UnknownBaselineError, which says what there is, unless `baseline` means one agent of every level
    of num_dists in the table."""
    for _, rows in episodes.groupby("num_dists"):
        _find_baseline(*_agents(rows, ("variant",)), baseline)


def usual_baseline(
    episodes: pd.DataFrame, baseline: str | Mapping[str, Any], models: Sequence[str]
) -> str | Mapping[str, Any]:
    """`baseline` for `compare`: a variant that several models played means that of the first of `models`."""
    if not isinstance(baseline, str):
        return baseline
    of_variant = set(episodes.loc[episodes["variant"] == baseline, "model"])
    first = next((model for model in models if model in of_variant), None)
    return baseline if len(of_variant) < 2 or first is None else {"variant": baseline, "model": first}


def rows_of_agent(episodes: pd.DataFrame, agent: str | Mapping[str, Any]) -> pd.DataFrame:
    """The episodes of the one agent that `agent` means: a variant or, where several agents bear its name, its
    settings, as in `compare`. Raises UnknownBaselineError, which says what there is."""
    group = _find_baseline(*_agents(episodes, ("variant",)), agent, role="agent")
    return episodes.iloc[group.rows.index]


def _agents(episodes: pd.DataFrame, by: Sequence[str]) -> tuple[list[str], list[Group]]:
    """(columns that name an agent, agents); models are told apart."""
    columns, split = groups(episodes, by)
    if split and "model" not in columns and episodes["model"].nunique() > 1:
        columns, split = groups(episodes, [*columns, "model"])
    return columns, split


def _name_of(agent: Group) -> str:
    return ", ".join(map(str, agent.names.values()))


def _find_baseline(
    columns: list[str], split: list[Group], baseline: str | Mapping[str, Any], role: str = "baseline"
) -> Group:
    """The one agent that `baseline` means; `role`: what an error calls it."""
    settings = {columns[0]: baseline} if isinstance(baseline, str) else dict(baseline)
    if not settings or not set(settings) <= set(columns):
        raise UnknownBaselineError(f"{role} {baseline} matches no agent; name it by {', '.join(columns)}")
    matches = [
        group for group in split if all(str(group.names[key]) == str(v) for key, v in settings.items())
    ]
    if len(matches) == 1:
        return matches[0]
    choices = [", ".join(f"{key}={v}" for key, v in group.names.items()) for group in matches or split]
    number = f"{len(matches)} agents" if matches else "no agent"
    raise UnknownBaselineError(
        f"{role} {baseline!r} matches {number}; choose one of: {'; '.join(choices) or 'no agent'}"
    )


def _row(rows: pd.DataFrame, base: pd.DataFrame, measure: Measure, tasks: Sequence[str]) -> dict[str, Any]:
    """The figures of one row."""
    rows, base = (r[r["task"].isin(list(tasks))] for r in (rows, base))
    seeds = sorted(set(rows["seed"]) | set(base["seed"]))
    difference = _difference(rows, base, measure, tasks, seeds)
    worst, best = np.nan, np.nan
    if measure.is_rate:
        (low, high), (base_low, base_high) = (success_bounds(r, tasks, seeds) for r in (rows, base))
        worst, best = low - base_high, high - base_low
    return vars(difference) | {
        "n_left_out": len(seeds) - difference.n_seeds,
        "n_errors": count_errors(rows) + count_errors(base),
        "n_discordant": difference.n_discordant,
        "worst": worst,
        "best": best,
    }


def _difference(
    rows: pd.DataFrame, base: pd.DataFrame, measure: Measure, tasks: Sequence[str], seeds: list[int]
) -> Difference:
    done = [finished(r) for r in (rows, base)]
    if any(r.empty for r in done):
        return Difference(interval=NO_EPISODE)
    used = [known(r, measure) for r in done]
    if any(r.empty for r in used):
        return Difference(interval=NOT_KNOWN)
    agent, baseline = ([part.reindex(seeds).to_numpy() for part in matrices(r, measure, tasks)] for r in used)
    if measure.is_rate:
        return paired_success(agent[0], baseline[0])
    return paired_bootstrap(agent[0], baseline[0], *agent[1:], *baseline[1:])


def _corrected(table: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """With p_holm; rows that agree in the columns `family` are corrected together."""
    for rows in table.groupby(family).groups.values():
        table.loc[rows, "p_holm"] = holm(table.loc[rows, "p_value"].to_numpy(dtype=float))
    return table
