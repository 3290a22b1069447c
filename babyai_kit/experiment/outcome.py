"""The result of a command that runs a plan, and what it says at its end beside the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from babyai_kit.errors import KitError, NoValidAnswers
from babyai_kit.experiment.reconciliation import Reconciliation
from babyai_kit.runs.answers import InvalidReason, count_reasons, counts_text, remedy
from babyai_kit.runs.records import StepRecord, error_examples


@dataclass(frozen=True)
class Outcome:
    """The result of a command that runs a plan."""

    episodes: pd.DataFrame
    """Rows of this command's plan that are finished."""
    planned: int
    stopped: KitError | None
    """Why the run stopped before its plan was done: the budget or a fatal answer."""
    reconciliation: Reconciliation | None
    """None if ClickHouse could not be asked."""
    invalid: Mapping[str, tuple[int, Mapping[InvalidReason, int]]]
    """Answers, and those of them that are not valid by reason; by variant, with the present prompts."""
    unasked_reasoning: Mapping[str, int]
    """Answers that reason though their variant's prompt does not ask for it, by variant."""

    @property
    def complete(self) -> bool:
        """True when every planned episode is finished without an error."""
        return len(self.episodes) == self.planned and bool((self.episodes["status"] == "ok").all())


def invalid_answers(
    steps: Iterable[StepRecord],
) -> dict[str, tuple[int, Mapping[InvalidReason, int]]]:
    """Answers and reasons as in `Outcome.invalid`."""
    by_variant: dict[str, list[StepRecord]] = {}
    for step in steps:
        by_variant.setdefault(step.variant, []).append(step)
    return {variant: (len(of_one), count_reasons(of_one)) for variant, of_one in by_variant.items()}


def closing_notes(outcome: Outcome) -> list[str]:
    """What the table alone does not show, a line each."""
    notes = [f"Stopped: {outcome.stopped}"] if outcome.stopped else []
    unfinished = outcome.planned - len(outcome.episodes)
    if unfinished:
        notes.append(
            f"{unfinished} of {outcome.planned} episodes are unfinished; the same command continues them."
        )
    kinds = Counter(outcome.episodes["error_kind"].dropna())
    if kinds:
        counts = ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common())
        notes.append(
            f"{kinds.total()} episodes ended by an error, not by the agent ({counts}); run again to retry "
            "them."
        )
        notes += [f"  {kind}, for example: {text}" for kind, text in error_examples(outcome.episodes).items()]
    for variant, (answers, reasons) in outcome.invalid.items():
        if reasons and not isinstance(outcome.stopped, NoValidAnswers):  # which says the same
            notes.append(
                f"{sum(reasons.values()):,} of {answers:,} answers of {variant} were not valid "
                f"({counts_text(reasons)}); {remedy(reasons)}."
            )
    for variant, count in outcome.unasked_reasoning.items():
        notes.append(f"{count} answers of {variant} contain reasoning, which its prompt does not ask for.")
    if outcome.reconciliation and not outcome.reconciliation.clean:
        notes.append(
            f"ClickHouse differs from the journal: {outcome.reconciliation}. The journal is whole; "
            "`python -m babyai_kit reconcile RUN` names the episodes."
        )
    return notes
