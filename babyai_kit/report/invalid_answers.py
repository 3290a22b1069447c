"""Answers that were not a valid action: counted apart by what was wrong with them, with what helps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from babyai_kit.report.tables import Cell, Table
from babyai_kit.runs.answers import INVALID_REASONS, REMEDIES, count_reasons
from babyai_kit.runs.records import StepRecord
from babyai_kit.runs.trajectories import Trajectory


@dataclass(frozen=True)
class InvalidAnswers:
    """A row per variant (and model, if there are several), a column per reason that occurs."""

    table: Table
    remedies: list[tuple[str, str]]
    """By reason, in the order of the columns."""


def invalid_answers(trajectories: Iterable[Trajectory]) -> InvalidAnswers | None:
    """Of all these episodes, unfinished ones included; None if every answer was valid."""
    steps: dict[tuple[str, str], list[StepRecord]] = {}
    for trajectory in trajectories:
        agent = trajectory.key.variant, trajectory.key.model
        steps.setdefault(agent, []).extend(trajectory.steps)
    counts = {agent: count_reasons(of_one) for agent, of_one in steps.items()}
    reasons = [
        reason for reason in INVALID_REASONS if any(counts_of[reason] for counts_of in counts.values())
    ]
    if not reasons:
        return None
    one_model = len({model for _, model in steps}) == 1
    rows: list[list[Cell]] = [
        [
            agent[0] if one_model else ", ".join(agent),
            f"{counts[agent].total():,} of {len(steps[agent]):,}",
            *(f"{counts[agent][reason]:,}" if counts[agent][reason] else "" for reason in reasons),
        ]
        for agent in steps
    ]
    caption = "Answers that were not a valid action, so that the agent went forward instead."
    table = Table(caption, ["agent", "invalid", *reasons], rows)
    return InvalidAnswers(table, [(reason, REMEDIES[reason]) for reason in reasons])
