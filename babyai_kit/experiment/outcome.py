"""The result of a command that runs a plan, and what it says at its end beside the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from babyai_kit.errors import KitError, NoValidAnswers
from babyai_kit.experiment.reconciliation import Reconciliation
from babyai_kit.runs.answers import InvalidReason, count_reasons, counts_text, remedy
from babyai_kit.runs.episode_table import error_examples
from babyai_kit.runs.records import StepRecord


class Invalid(NamedTuple):
    """The answers to one agent."""

    answers: int
    reasons: Mapping[InvalidReason, int]
    """Of those that are not valid."""
    remedy: str
    """Empty if all are."""


@dataclass(frozen=True)
class Outcome:
    """The result of a command that runs a plan."""

    episodes: pd.DataFrame
    """Rows of this command's plan that are finished."""
    planned: int
    stops: tuple[KitError, ...]
    """Why the run, or models of it, stopped before the plan was done: fatal answers, then budgets."""
    reconciliation: Reconciliation | None
    """None if ClickHouse could not be asked."""
    invalid: Mapping[str, Invalid]
    """By variant, and model if there are several, with the present prompts."""
    unasked_reasoning: Mapping[str, int]
    """Answers that reason though their variant's prompt does not ask for it, by variant."""

    @property
    def stopped(self) -> KitError | None:
        """The gravest of `stops`."""
        return next(iter(self.stops), None)

    @property
    def complete(self) -> bool:
        """True when every planned episode is finished without an error."""
        return len(self.episodes) == self.planned and bool((self.episodes["status"] == "ok").all())


def invalid_answers(steps: Iterable[StepRecord], *, chats: Collection[str] = ()) -> dict[str, Invalid]:
    """As in `Outcome.invalid`. `chats`: the variants that are agents of Python code."""
    by_agent: dict[tuple[str, str], list[StepRecord]] = {}
    for step in (step for step in steps if step.calls):
        by_agent.setdefault((step.variant, step.model), []).append(step)
    several = len({model for _, model in by_agent}) > 1
    found = {}
    for (variant, model), of_one in by_agent.items():
        reasons = count_reasons(of_one)
        helps = remedy(reasons, chats=variant in chats) if reasons else ""
        found[f"{variant}, {model}" if several else variant] = Invalid(len(of_one), reasons, helps)
    return found


def closing_notes(outcome: Outcome, compared: Mapping[str, Any], reconcile_line: str) -> list[str]:
    """What the table alone does not show, a line each.

    `compared`: the run's comparison with ClickHouse before this one, as in `reconciliation.json`; what it
    has told is not told again. `reconcile_line`: the command that names what differs.
    """
    notes = [f"Stopped: {reason}" for reason in outcome.stops]
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
    for variant, of_one in outcome.invalid.items():
        said = len(outcome.invalid) == 1 and isinstance(outcome.stopped, NoValidAnswers)
        if of_one.reasons and not said:
            notes.append(
                f"{sum(of_one.reasons.values()):,} of {of_one.answers:,} answers of {variant} were not valid "
                f"({counts_text(of_one.reasons)}); {of_one.remedy}."
            )
    for variant, count in outcome.unasked_reasoning.items():
        notes.append(f"{count} answers of {variant} contain reasoning, which its prompt does not ask for.")
    if outcome.reconciliation:
        notes += _differences(outcome.reconciliation, compared, reconcile_line)
    return notes


def _differences(now: Reconciliation, before: Mapping[str, Any], reconcile_line: str) -> list[str]:
    """What ClickHouse holds otherwise than the journal, and did not so `before`."""
    lost = now.missing, now.partial, now.mismatched, now.unreachable
    told = [before.get(name) for name in ("missing", "partial", "mismatched", "unreachable")]
    notes = []
    if any(lost) and list(lost) != told:
        notes.append(
            f"ClickHouse differs from the journal: {now}. The journal is whole; `{reconcile_line}` names the "
            "episodes."
        )
    orphans, earlier = _pairs(now.orphans), _pairs(before.get("orphans"))
    if repeated := len(orphans - earlier):
        whole = "" if any(lost) else "Nothing is missing in ClickHouse; "
        calls, were = ("1 call", "was") if repeated == 1 else (f"{repeated:,} calls", "were")
        notes.append(
            f"{whole}{calls} that {were} in flight when a command was interrupted or timed out {were} paid "
            "twice."
        )
    return notes


def _pairs(orphans: object) -> set[tuple[str, str]]:
    """The orphans of a reconciliation as pairs of episode and inference."""
    by_episode = orphans if isinstance(orphans, Mapping) else {}
    return {(episode, inference) for episode, ids in by_episode.items() for inference in ids}
