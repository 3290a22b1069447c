"""What a run may spend, in dollars and tokens, and what it has spent.

What was spent before, by earlier commands and by runs that were killed, counts. A budget is checked before a
call, so that it is overshot by at most the calls in flight.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from babyai_kit.configuration.served_models import Model
from babyai_kit.configuration.variants import Config
from babyai_kit.errors import BudgetReached, InputError, KitError
from babyai_kit.runs.records import CallRecord, StepRecord


@dataclass(frozen=True)
class Limits:
    """Limits of a run; None: none. Raises InputError for one that is not positive."""

    max_cost_usd: float | Mapping[str, float] | None = None
    """Of the run; or of each model that is named."""
    max_tokens_total: int | Mapping[str, int] | None = None
    """Prompt and answer tokens together, likewise."""

    def __post_init__(self) -> None:
        for cost in _values(self.max_cost_usd):
            if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not cost > 0:
                raise InputError(f"max_cost_usd {cost!r} is not valid; use a positive amount or None")
        for tokens in _values(self.max_tokens_total):
            if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
                raise InputError(
                    f"max_tokens_total {tokens!r} is not valid; use a whole number of at least 1, or None"
                )

    @property
    def models(self) -> tuple[str, ...]:
        """The models that have limits of their own."""
        both = self.max_cost_usd, self.max_tokens_total
        return tuple(dict.fromkeys(name for limit in both if isinstance(limit, Mapping) for name in limit))

    def of_run(self) -> Limits:
        """Those of all models together."""
        cost, tokens = self.max_cost_usd, self.max_tokens_total
        return Limits(
            None if isinstance(cost, Mapping) else cost, None if isinstance(tokens, Mapping) else tokens
        )

    def of_model(self, model: str) -> Limits:
        """Those of `model` alone."""
        cost, tokens = self.max_cost_usd, self.max_tokens_total
        return Limits(
            cost.get(model) if isinstance(cost, Mapping) else None,
            tokens.get(model) if isinstance(tokens, Mapping) else None,
        )


def check_prices(config: Config, models: Iterable[Model], limits: Limits) -> None:
    """Raises InputError for a budget in dollars over a model without a price."""
    for model in models:
        limited = (limits.of_run().max_cost_usd, limits.of_model(model.name).max_cost_usd) != (None, None)
        if limited and config.price_of(model) is None:
            raise InputError(
                f"max_cost_usd needs a price, and {model.name!r} has none; add it to config/prices.json or "
                "leave the budget out"
            )


def _values(limit: Any) -> list[Any]:
    if isinstance(limit, Mapping):
        return list(limit.values())
    return [] if limit is None else [limit]


class Budget:
    """`limits`, less what the calls `before` spent; of the run, or of its model `model`.

    `free`: models whose calls cost nothing, whatever they say.
    """

    def __init__(
        self,
        limits: Limits,
        before: Iterable[StepRecord | CallRecord] = (),
        *,
        free: Collection[str] = (),
        model: str = "",
    ) -> None:
        self.cost_usd = 0.0
        self.tokens = 0
        limits = limits.of_model(model) if model else limits.of_run()
        self._max_cost_usd = cast("float | None", limits.max_cost_usd)
        self._max_tokens = cast("int | None", limits.max_tokens_total)
        self._free = free
        self._model = model
        for step in before:
            self._count(step)
        self._unknown = ""

    def spend(self, step: StepRecord | CallRecord) -> None:
        """Count an answered call."""
        self._count(step)
        if self._max_tokens is not None and None in (step.input_tokens, step.output_tokens):
            self._unknown = "max_tokens_total"
        if self._max_cost_usd is not None and step.cost_usd is None and step.model not in self._free:
            self._unknown = "max_cost_usd"

    def spent(self) -> KitError | None:
        """Why no new call may start; None while there is something left."""
        cost, tokens = self._max_cost_usd, self._max_tokens
        if cost is not None and self.cost_usd >= cost:
            return self._reached(
                f"the budget of ${cost:g} is spent (${self.cost_usd:.4f}); run again with a larger "
                "max_cost_usd to continue"
            )
        if tokens is not None and self.tokens >= tokens:
            return self._reached(
                f"the budget of {tokens:,} tokens is spent ({self.tokens:,}); run again with a larger "
                "max_tokens_total to continue"
            )
        if self._unknown:
            return self._reached(
                f"{self._unknown} cannot be enforced, since the model server does not report its tokens; run "
                "again without it to continue"
            )
        return None

    def _reached(self, message: str) -> BudgetReached:
        return BudgetReached(message, self._model)

    def _count(self, step: StepRecord | CallRecord) -> None:
        if self._model not in ("", step.model):
            return
        self.cost_usd += step.cost_usd or 0.0
        self.tokens += (step.input_tokens or 0) + (step.output_tokens or 0)
