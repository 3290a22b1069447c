"""Answers that were not a valid action: counted apart by what was wrong with them, with what helps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pandas as pd

from babyai_kit.figures.agents import Agent
from babyai_kit.report.headings import headings, named_agents
from babyai_kit.report.tables import Cell, Table
from babyai_kit.runs.answers import INVALID_REASONS, count_reasons, remedy
from babyai_kit.runs.records import StepRecord
from babyai_kit.runs.trajectories import Trajectory


@dataclass(frozen=True)
class InvalidAnswers:
    """A row per variant (and model, if there are several), a column per reason that occurs."""

    table: Table
    remedies: list[tuple[str, str]]
    """By reason, in the order of the columns; two of a reason where agents of both kinds have it."""


def invalid_answers(
    trajectories: Iterable[Trajectory], *, chats: Collection[str] = ()
) -> InvalidAnswers | None:
    """Of all these episodes, unfinished ones included; None if every answer was valid. `chats`: the variants
    that are agents of Python code."""
    episodes = list(trajectories)
    keys = ["variant", "model"] if len({episode.key.model for episode in episodes}) > 1 else ["variant"]
    steps: dict[Agent, list[StepRecord]] = {}
    for episode in episodes:
        agent = tuple(getattr(episode.key, key) for key in keys)
        steps.setdefault(agent, []).extend(step for step in episode.steps if step.calls)
    counts = {agent: count_reasons(of_one) for agent, of_one in steps.items()}
    reasons = [
        reason for reason in INVALID_REASONS if any(counts_of[reason] for counts_of in counts.values())
    ]
    if not reasons:
        return None
    named = named_agents(pd.DataFrame(list(steps), columns=keys), keys)
    rows: list[list[Cell]] = [
        [
            name,
            f"{counts[agent].total():,} of {len(steps[agent]):,}",
            *(f"{counts[agent][reason]:,}" if counts[agent][reason] else "" for reason in reasons),
        ]
        for agent, name, _ in named
    ]
    caption = "Answers that were not a valid action, so that the agent went forward instead."
    table = Table(caption, ["agent", "invalid", *reasons], rows, headings=headings(named))
    remedies = {
        (reason, remedy({reason: 1}, chats=agent[0] in chats)): None
        for reason in reasons
        for agent, _, _ in named
        if counts[agent][reason]
    }
    return InvalidAnswers(table, list(remedies))
