"""The page's tables, in words: estimates with their intervals, counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from babyai_kit.environment import TASKS
from babyai_kit.errors import KitError
from babyai_kit.failures import CLASSES, failure_table
from babyai_kit.failures.classes import LABELS
from babyai_kit.figures.agents import agents_of, keys_of
from babyai_kit.stats import ALL_TASKS, compare, estimates, groups, summarize

Say = Callable[[float], str]


Cell = str | tuple[str, str]
"""Text, or text and what stands below it in small print."""


@dataclass(frozen=True)
class Table:
    """The first `labels` columns name the row, the others hold figures."""

    caption: str
    head: list[str]
    rows: list[list[Cell]]
    labels: int = 1


def outcomes(episodes: pd.DataFrame) -> Table:
    """Per agent: success, return, steps and invalid answers."""
    rows: list[list[Cell]] = []
    agents = _agents(episodes)
    open_cases = any(row["success_worst"] < row["success_best"] for _, row, _ in agents)
    for names, row, group in agents:
        finished = group[group["status"] == "ok"]
        steps = finished["episode_length"].sum()
        invalid = f"{100 * finished['invalid_actions'].sum() / steps:.1f}%" if steps else "–"
        bounds = (_percent(row["success_worst"]), f"to {_percent(row['success_best'])}")
        rows.append(
            [
                names,
                f"{row['n_seeds']} / {row['n_episodes']}",
                _interval(row, "success", _percent),
                *([bounds] if open_cases else []),
                _interval(row, "episode_return", "{:.2f}".format),
                _interval(row, "episode_length", "{:.1f}".format),
                _interval(row, "length_given_success", "{:.1f}".format),
                invalid,
            ]
        )
    head = ["agent", "seeds / episodes", "success"]
    head += ["if errors and missing episodes failed, or succeeded"] * open_cases
    head += ["return", "steps", "steps of successes", "invalid answers"]
    return Table("Per agent, over all tasks; in brackets 95% intervals.", head, rows)


def by_task(episodes: pd.DataFrame) -> Table:
    """Success per agent and task."""
    keys, _ = groups(episodes, ("variant",))
    each = estimates(episodes, "success", [*keys, "task"])
    tasks = sorted(each["task"].unique(), key=_place)
    found = {(*(r[k] for k in keys), r["task"]): r for r in each.to_dict("records")}
    rows: list[list[Cell]] = []
    for agent in agents_of(each, keys):
        row: list[Cell] = [_name(agent)]
        for task in tasks:
            r = found.get((*agent, task))
            row.append("–" if r is None else _bracketed(r["value"], r["low"], r["high"], _percent))
        rows.append(row)
    return Table("Success per task; in brackets 95% Wilson intervals.", ["agent", *tasks], rows)


def comparison(episodes: pd.DataFrame) -> Table | str:
    """Success of every agent against the first, which is the baseline if there is one; or why there is
    nothing to compare."""
    baseline = first_agent(episodes)
    try:
        table = compare(episodes, baseline, measures=["success"])
    except KitError as error:
        return str(error)
    if table.empty:
        return "There is one agent alone, and nothing to compare it with."
    table = table[table["task"] == ALL_TASKS]
    agent = list(table.columns[2 : list(table.columns).index("baseline")])
    rows: list[list[Cell]] = []
    for names in agents_of(table, agent):
        (row,) = [r for r in table.to_dict("records") if tuple(r[k] for k in agent) == names]
        cells: list[Cell] = [_name(names), _bracketed(row["difference"], row["low"], row["high"], _points)]
        cells += [_chance(row["p_value"]), _chance(row["p_holm"])]
        cells += [_points(row["detectable"]).lstrip("+"), str(row["n_seeds"])]
        rows.append(cells)
    head = ["agent", "difference", "p", "p, Holm", "detectable", "seeds"]
    said = (
        f"Success rate over all tasks less that of {table['baseline'].iloc[0]}, in points, paired by seed; "
        "in brackets 95% intervals, not corrected for several comparisons; Holm's p is. Detectable: the "
        "smallest true difference that these seeds find with 80% power."
    )
    return Table(said, head, rows)


def first_agent(episodes: pd.DataFrame) -> dict[str, Any]:
    """The settings of the agent that others are compared with: the first in the order of the figures.

    Without num_dists: levels of it are compared each by itself.
    """
    keys = [key for key in keys_of(episodes) if key != "num_dists"]
    agents = agents_of(episodes, keys)
    return dict(zip(keys, agents[0], strict=True)) if agents else {}


def spending(episodes: pd.DataFrame) -> Table:
    """Tokens, cost and time per agent."""
    rows: list[list[Cell]] = []
    for names, row, group in _agents(episodes):
        total = group["cost_usd"].sum(skipna=False)
        rows.append(
            [
                names,
                _interval(row, "input_tokens", "{:,.0f}".format),
                _interval(row, "output_tokens", "{:,.0f}".format),
                _interval(row, "tokens_per_success", "{:,.0f}".format),
                _interval(row, "cost_per_success", "${:,.4f}".format),
                "not known" if math.isnan(total) else f"${total:,.4f}",
                f"{group['wall_s'].sum() / max(group['episode_length'].sum(), 1):.2f} s",
            ]
        )
    head = ["agent", "input tokens / episode", "generated tokens / episode", "tokens / success"]
    head += ["cost / success", "cost of all episodes", "time of a call"]
    return Table("Tokens and cost; in brackets 95% bootstrap intervals over seeds.", head, rows)


def failures(episodes: pd.DataFrame, failed: pd.DataFrame) -> Table:
    """Failed episodes by class, per agent and task; only classes that occur."""
    counts = failure_table(episodes, failed)
    keys = [c for c in counts.columns if c not in ("n_episodes", "n_failed", *CLASSES)]
    agents = [k for k in keys if k != "task"]
    there = [name for name in CLASSES if counts[name].any()]
    rows: list[list[Cell]] = []
    for agent in agents_of(counts, agents):
        here = counts
        for key, value in zip(agents, agent, strict=True):
            here = here[here[key] == value]
        for i, row in enumerate(sorted(here.to_dict("records"), key=lambda r: _place(r["task"]))):
            failed_of = f"{row['n_failed']} of {row['n_episodes']}"
            name = _name(agent) if i == 0 else ""
            rows.append([name, row["task"], failed_of, *(str(row[c] or "") for c in there)])
    head = ["agent", "task", "failed", *(LABELS[name] for name in there)]
    return Table("Failed episodes; each counts in one class.", head, rows, labels=2)


def _agents(episodes: pd.DataFrame) -> list[tuple[str, Mapping[Hashable, Any], pd.DataFrame]]:
    """Per agent its name, its row of `summarize` and its episodes."""
    keys, split = groups(episodes, ("variant",))
    table = summarize(episodes)
    rows = {tuple(r[k] for k in keys): r for r in table.to_dict("records")}
    plain = episodes.reset_index(drop=True)
    parts = {tuple(names[k] for k in keys): plain.loc[group.index] for names, group, _ in split}
    return [(_name(agent), rows[agent], parts[agent]) for agent in agents_of(table, keys)]


def _place(task: str) -> tuple[int, str]:
    """Sorts tasks: all of them together, the five in their order, others by name."""
    order = (ALL_TASKS, *TASKS)
    return (order.index(task) if task in order else len(order), task)


def _name(agent: Sequence[Any]) -> str:
    return ", ".join(map(str, agent))


def _interval(row: Mapping[Hashable, Any], measure: str, say: Say) -> Cell:
    return _bracketed(row[measure], row[f"{measure}_low"], row[f"{measure}_high"], say)


def _bracketed(value: float, low: float, high: float, say: Say) -> Cell:
    if math.isnan(value):
        return "–"
    return say(value) if math.isnan(low) else (say(value), f"[{say(low)}, {say(high)}]")


def _points(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def _chance(value: float) -> str:
    return "–" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}%"
