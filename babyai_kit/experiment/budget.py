"""What a run may spend, in dollars and tokens, and what it has spent.

What was spent before, by earlier commands and by runs that were killed, counts. A budget is checked before a
call, so that it is overshot by at most the calls in flight.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from babyai_kit.errors import BudgetReached, InputError, KitError
from babyai_kit.runs.records import StepRecord


@dataclass(frozen=True)
class Limits:
    """Limits of a run; None: none. Raises InputError for one that is not positive."""

    max_cost_usd: float | None = None
    max_tokens_total: int | None = None
    """Prompt and answer tokens together."""

    def __post_init__(self) -> None:
        cost, tokens = self.max_cost_usd, self.max_tokens_total
        if cost is not None and (isinstance(cost, bool) or not cost > 0):
            raise InputError(f"max_cost_usd {cost!r} is not valid; use a positive amount or None")
        if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1):
            raise InputError(
                f"max_tokens_total {tokens!r} is not valid; use a whole number of at least 1, or None"
            )


class Budget:
    """`limits`, less what the steps `before` spent. `free`: calls cost nothing, whatever they say."""

    def __init__(self, limits: Limits, before: Iterable[StepRecord] = (), *, free: bool = False) -> None:
        self.limits = limits
        self.cost_usd = 0.0
        self.tokens = 0
        self._free = free
        for step in before:
            self._count(step)
        self._unknown = ""

    def spend(self, step: StepRecord) -> None:
        """Count an answered call."""
        self._count(step)
        if self.limits.max_tokens_total is not None and None in (step.input_tokens, step.output_tokens):
            self._unknown = "max_tokens_total"
        if self.limits.max_cost_usd is not None and step.cost_usd is None and not self._free:
            self._unknown = "max_cost_usd"

    def spent(self) -> KitError | None:
        """Why no new call may start; None while there is something left."""
        cost, tokens = self.limits.max_cost_usd, self.limits.max_tokens_total
        if cost is not None and self.cost_usd >= cost:
            return BudgetReached(
                f"the budget of ${cost:g} is spent (${self.cost_usd:.4f}); run again with a larger "
                "max_cost_usd to continue"
            )
        if tokens is not None and self.tokens >= tokens:
            return BudgetReached(
                f"the budget of {tokens:,} tokens is spent ({self.tokens:,}); run again with a larger "
                "max_tokens_total to continue"
            )
        if self._unknown:
            return BudgetReached(
                f"{self._unknown} cannot be enforced, since the model server does not report its tokens; run "
                "again without it to continue"
            )
        return None

    def _count(self, step: StepRecord) -> None:
        self.cost_usd += step.cost_usd or 0.0
        self.tokens += (step.input_tokens or 0) + (step.output_tokens or 0)
