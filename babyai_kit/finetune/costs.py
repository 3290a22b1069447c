"""What a fine-tuning job will take at most, before anything is uploaded.

Knows tokens and training load_prices; asks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from babyai_kit.configuration.prices import load_prices
from babyai_kit.errors import InputError
from babyai_kit.finetune.export import Export

DEFAULT_EPOCHS = 3
"""What providers mostly choose for a few hundred to some thousand examples."""


@dataclass(frozen=True)
class TrainingEstimate:
    """Tokens are of all epochs; cost in US dollars, None where the price is unknown."""

    examples: int
    epochs: int
    tokens: int
    cost_usd: float | None

    def __str__(self) -> str:
        cost = "no training price known" if self.cost_usd is None else f"about ${self.cost_usd:,.2f}"
        return f"{self.examples:,} examples, {self.epochs} epochs, {self.tokens:,} tokens, {cost}"


def estimate_training(
    made: Export, *, model: str | None = None, n_epochs: int | None = None, config: str | Path = "config"
) -> TrainingEstimate:
    """For a job of `model` (default: the export's) over `n_epochs` (None: the provider chooses; 3 taken)."""
    name = model or made.model
    epochs = n_epochs or DEFAULT_EPOCHS
    per_million = load_prices(config).training_price_of(name)
    tokens = made.tokens * epochs
    return TrainingEstimate(
        made.examples, epochs, tokens, None if per_million is None else tokens * per_million / 1e6
    )


def check_budget(estimate: TrainingEstimate, max_cost_usd: float | None) -> None:
    """Raises InputError if a job may cost more than `max_cost_usd` dollars, or nobody knows what it costs."""
    if max_cost_usd is None:
        return
    if estimate.cost_usd is None:
        raise InputError(
            "max_cost_usd needs a training price; add the model's to config/load_prices.json or leave it out"
        )
    if estimate.cost_usd > max_cost_usd:
        raise InputError(
            f"the job may cost {estimate.cost_usd:.2f} dollars, more than max_cost_usd ({max_cost_usd:g}); "
            "raise it, or lower max_per_task or n_epochs"
        )
