"""The page's tables, as text: estimates with their intervals, counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from babyai_kit.environment import TASKS
from babyai_kit.errors import KitError
from babyai_kit.failures import CLASSES, failure_table
from babyai_kit.failures.classes import LABELS
from babyai_kit.figures.agents import (
    Agent,
    agents_of,
    keys_of,
    name_of,
    rows_by_agent,
    rows_of,
    tasks_of,
)
from babyai_kit.report.headings import headings, named_agents
from babyai_kit.stats import (
    ALL_TASKS,
    MEASURES,
    UNKNOWN,
    agent_columns,
    compare,
    estimates,
    finished,
    groups,
    p_value_text,
    summarize,
    verdict,
    with_free_models,
)

Cell = str | tuple[str, str]
"""Text, or text and what stands below it in small print."""

SUCCESS = MEASURES["success"]


@dataclass(frozen=True)
class Table:
    """The first `labels` columns name the row, the others hold figures."""

    caption: str
    head: list[str]
    rows: list[list[Cell]]
    labels: int = 1
    headings: Mapping[int, str] = field(default_factory=dict)
    """What stands above the row of that number: the model of the following ones."""
    verdicts: tuple[str, ...] = ()
    """Sentences below it."""


def outcomes(episodes: pd.DataFrame) -> Table:
    """Per agent: success, return, steps and invalid answers."""
    agents = _agents(episodes)
    is_open = any(agent.summary["success_worst"] < agent.summary["success_best"] for agent in agents)
    measures = ("episode_return", "episode_length", "length_given_success")
    rows: list[list[Cell]] = []
    for agent in agents:
        summary = agent.summary
        row = [agent.name, f"{summary['n_seeds']} / {summary['n_episodes']}", _estimate(summary, "success")]
        if is_open:
            worst, best = (SUCCESS.text(summary[f"success_{end}"]) for end in ("worst", "best"))
            row.append((worst, f"to {best}"))
        row += [_estimate(summary, name) for name in measures]
        done = finished(agent.episodes)
        steps = done["episode_length"].sum()
        row.append(f"{done['invalid_actions'].sum() / steps:.1%}" if steps else UNKNOWN)
        rows.append(row)
    head = ["agent", "seeds / episodes", SUCCESS.label]
    if is_open:
        head.append("if errors and missing episodes count as failures, or as successes")
    head += [*(MEASURES[name].heading for name in measures), "invalid answers"]
    caption = "Per agent, over all tasks, with 95% intervals in brackets."
    return Table(caption, head, rows, headings=_headings(agents))


def by_task(episodes: pd.DataFrame) -> Table:
    """Success per agent and task: a row per agent or, of more tasks than the page has room for, per task."""
    keys, _ = groups(episodes, ("variant",))
    each = estimates(episodes, "success", [*keys, "task"])
    tasks = tasks_of(each)
    cells = rows_by_agent(each, [*keys, "task"])
    named = named_agents(each, keys)

    def rate(agent: Agent, task: str) -> Cell:
        cell = cells.get((*agent, task))
        return _bracketed(cell, "value", SUCCESS.text) if cell else UNKNOWN

    caption = "Success rate per task, with 95% Wilson intervals in brackets."
    if len(named) <= len(TASKS) < len(tasks):
        agents = [agent for agent, *_ in named]
        of_tasks: list[list[Cell]] = [[task, *(rate(agent, task) for agent in agents)] for task in tasks]
        return Table(caption, ["task", *map(name_of, agents)], of_tasks)
    of_agents: list[list[Cell]] = [[name, *(rate(agent, task) for task in tasks)] for agent, name, _ in named]
    return Table(caption, ["agent", *tasks], of_agents, headings=headings(named))


def comparison(episodes: pd.DataFrame, baseline: str | Mapping[str, Any]) -> Table | str:
    """Success of every agent against `baseline`; or why there is nothing to compare."""
    try:
        table = compare(episodes, baseline, measures=["success"])
    except KitError as error:
        return str(error)
    if table.empty:
        return "There is only one agent, so there is nothing to compare."
    table = table[table["task"] == ALL_TASKS]
    keys = agent_columns(table)
    by_agent = rows_by_agent(table, keys)
    rows: list[list[Cell]] = []
    named = named_agents(table, keys)
    for agent, name, _ in named:
        row = by_agent[agent]
        rows.append(
            [
                name,
                _bracketed(row, "difference", SUCCESS.difference),
                p_value_text(row["p_holm"]),
                SUCCESS.number(row["detectable"]),
                str(row["n_seeds"]),
            ]
        )
    verdicts = tuple(verdict(name_of(agent), by_agent[agent], SUCCESS) for agent in agents_of(table, keys))
    baseline = table["baseline"].iloc[0]
    caption = (
        f"Success rate over all tasks, difference from {baseline} in points, paired by seed, "
        "with 95% intervals in brackets, not corrected. Holm's p: corrected over the agents. Detectable: "
        "smallest true difference found with 80% power on these seeds."
    )
    head = ["agent", "difference", "Holm's p", "detectable", "seeds"]
    return Table(caption, head, rows, headings=headings(named), verdicts=verdicts)


def first_agent(episodes: pd.DataFrame) -> dict[str, Any]:
    """The settings of the agent that others are compared with: of the first variant in the order of the
    figures, the agent with the most seeds.

    Without num_dists: levels of it are compared each by itself.
    """
    keys = [key for key in keys_of(episodes) if key != "num_dists"]
    agents = agents_of(episodes, keys)
    if not agents:
        return {}
    of_first = [agent for agent in agents if agent[0] == agents[0][0]]
    largest = max(of_first, key=lambda agent: rows_of(episodes, keys, agent)["seed"].nunique())
    return dict(zip(keys, largest, strict=True))


def spending(episodes: pd.DataFrame) -> Table:
    """Tokens, cost and time per agent; without columns of which nothing is known."""
    measures = ("input_tokens", "output_tokens", "tokens_per_success", "cost_per_success")
    rows: list[list[Cell]] = []
    agents = _agents(episodes)
    for agent in agents:
        cost = agent.episodes["cost_usd"].sum(skipna=False)
        seconds = agent.episodes["wall_s"].sum() / max(agent.episodes["episode_length"].sum(), 1)
        row: list[Cell] = [agent.name, *(_estimate(agent.summary, name) for name in measures)]
        rows.append([*row, UNKNOWN if math.isnan(cost) else f"${cost:,.4f}", f"{seconds:.2f} s"])
    head = ["agent", *(MEASURES[name].label for name in measures), "cost of all episodes", "time per call"]
    known = [i for i in range(len(head)) if not rows or any(row[i] != UNKNOWN for row in rows)]
    return Table(
        "Tokens and cost, with 95% bootstrap intervals over seeds in brackets.",
        [head[i] for i in known],
        [[row[i] for i in known] for row in rows],
        headings=_headings(agents),
    )


def failures(episodes: pd.DataFrame, failed: pd.DataFrame) -> Table:
    """Failed episodes by class, per agent and task; only classes that occur."""
    counts = failure_table(episodes, failed)
    keys = [key for key in counts.columns if key not in ("task", "n_episodes", "n_failed", *CLASSES)]
    classes = [name for name in CLASSES if counts[name].any()]
    rows: list[list[Cell]] = []
    models: dict[int, str] = {}
    for agent, name, model in named_agents(counts, keys):
        by_task = rows_by_agent(rows_of(counts, keys, agent), ["task"])
        if model and model not in models.values():
            models[len(rows)] = model
        for task in (task for task in tasks_of(counts) if (task,) in by_task):
            row = by_task[(task,)]
            numbers = [str(row[name] or "") for name in classes]
            rows.append([name, task, f"{row['n_failed']} of {row['n_episodes']}", *numbers])
            name = ""
    head = ["agent", "task", "failed", *(LABELS[name] for name in classes)]
    return Table("Failed episodes; each counts in one class.", head, rows, labels=2, headings=models)


def _headings(agents: Sequence[_Agent]) -> dict[int, str]:
    return headings(((), agent.name, agent.model) for agent in agents)


@dataclass(frozen=True)
class _Agent:
    name: str
    model: str
    """Its heading; empty if it has none."""
    summary: Mapping[Any, Any]
    """Its row of `summarize`."""
    episodes: pd.DataFrame


def _agents(episodes: pd.DataFrame) -> list[_Agent]:
    """In the order of the figures."""
    keys, split = groups(episodes, ("variant",))
    table = summarize(episodes)
    summaries = rows_by_agent(table, keys)
    numbered = with_free_models(episodes.reset_index(drop=True))
    rows = {tuple(group.names.values()): numbered.loc[group.rows.index] for group in split}
    return [
        _Agent(name, model, summaries[agent], rows[agent]) for agent, name, model in named_agents(table, keys)
    ]


def _estimate(summary: Mapping[Any, Any], name: str) -> Cell:
    limits = {"low": summary[f"{name}_low"], "high": summary[f"{name}_high"]}
    return _bracketed({name: summary[name], **limits}, name, MEASURES[name].text)


def _bracketed(row: Mapping[Any, Any], column: str, text: Callable[[float], str]) -> Cell:
    """A figure, and its interval in brackets below it, if there is one."""
    if math.isnan(row["low"]):
        return text(row[column])
    return text(row[column]), f"[{text(row['low'])}, {text(row['high'])}]"
