"""The rows of the page's tables: agents by name, under their models where several played several variants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from babyai_kit.figures.agents import Agent, lineup, name_of


def named_agents(table: pd.DataFrame, keys: Sequence[str]) -> list[tuple[Agent, str, str]]:
    """The agents of the table in the order of the figures, each with its name and the model that is its
    heading; an empty one where there are no headings, as with one model."""
    agents = lineup(table, keys)
    if not agents.is_grouped:
        return [(agent, name_of(agent), "") for agent in agents.agents]
    place = agents.keys.index("model")
    return [
        (agent, name_of((*agent[:place], *agent[place + 1 :])), str(agent[place])) for agent in agents.agents
    ]


def headings(named: Iterable[tuple[Agent, str, str]]) -> dict[int, str]:
    """The models above the rows of these agents, by the number of the row."""
    models = [model for _, _, model in named]
    return {i: model for i, model in enumerate(models) if model and model not in models[:i]}
