"""The tokens and dollars that a fine-tuning job will take, estimated before anything is uploaded."""

from __future__ import annotations

from dataclasses import dataclass

from babyai_kit.configuration.prices import load_prices
from babyai_kit.configuration.project import PROJECT_CONFIG, StrPath
from babyai_kit.errors import InputError
from babyai_kit.finetune.export import Export

DEFAULT_EPOCHS = 3
"""What providers mostly choose for a few hundred to a few thousand examples."""


@dataclass(frozen=True)
class TrainingEstimate:
    examples: int
    epochs: int
    tokens: int
    """Of all epochs together."""
    cost_usd: float | None
    """US dollars; None where the price is unknown."""

    def __str__(self) -> str:
        cost = "no training price known" if self.cost_usd is None else f"about ${self.cost_usd:,.2f}"
        return f"{self.examples:,} examples, {self.epochs} epochs, {self.tokens:,} tokens, {cost}"


def estimate_training(
    export: Export, *, model: str | None = None, n_epochs: int | None = None, config: StrPath = PROJECT_CONFIG
) -> TrainingEstimate:
    """For a job of `model` (default: the export's) over `n_epochs`; None, where the provider chooses, is
    estimated as 3. Raises InputError for `n_epochs` below 1."""
    if n_epochs is not None and n_epochs < 1:
        raise InputError(
            f"n_epochs {n_epochs!r} is not valid; use at least 1, or None to let the provider choose"
        )
    epochs = n_epochs or DEFAULT_EPOCHS
    tokens = export.tokens * epochs
    per_million = load_prices(config).training_price_of(model or export.model)
    return TrainingEstimate(
        examples=export.examples,
        epochs=epochs,
        tokens=tokens,
        cost_usd=None if per_million is None else tokens * per_million / 1e6,
    )


def check_budget(estimate: TrainingEstimate, max_cost_usd: float | None) -> None:
    """Raises InputError if a job may cost more than `max_cost_usd` dollars, or if its cost is unknown."""
    if max_cost_usd is None:
        return
    if not max_cost_usd >= 0:
        raise InputError(f"max_cost_usd {max_cost_usd!r} is not valid; give dollars, or omit it")
    if estimate.cost_usd is None:
        raise InputError(
            "max_cost_usd needs a training price; add the model's to config/prices.json, or omit max_cost_usd"
        )
    if estimate.cost_usd > max_cost_usd:
        raise InputError(
            f"the job may cost {estimate.cost_usd:.2f} dollars, more than max_cost_usd ({max_cost_usd:g}); "
            "raise it, or lower max_per_task or n_epochs"
        )
