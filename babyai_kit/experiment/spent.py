"""What answered calls took: tokens, dollars and time, from the journal alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from babyai_kit.runs.records import StepRecord


@dataclass(frozen=True)
class Spent:
    """Of some calls together."""

    tokens: int = 0
    """Of prompts and answers; calls without reported usage count as 0."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    """In which at least one call was in flight."""


def spent(steps: Iterable[StepRecord]) -> Spent:
    """What `steps`, of any commands and in any order, took."""
    steps = list(steps)
    return Spent(
        sum((step.input_tokens or 0) + (step.output_tokens or 0) for step in steps),
        sum(step.cost_usd or 0.0 for step in steps),
        _covered(sorted(_interval(step) for step in steps if _began(step) is not None)),
    )


def _interval(step: StepRecord) -> tuple[float, float]:
    began = _began(step) or 0.0
    return began, began + step.call_s


def _began(step: StepRecord) -> float | None:
    """When the call began, in seconds since 1970, as its id says; None if its id says nothing of time."""
    try:
        number = uuid.UUID(step.inference_id)
    except ValueError:
        return None
    return (number.int >> 80) / 1000 if number.version == 7 else None


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """The length of the union of sorted intervals."""
    total, end = 0.0, float("-inf")
    for first, last in intervals:
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total
