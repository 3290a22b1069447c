"""What a plan will take at most: calls, tokens, cost, before anything is paid for.

It is a bound, since nobody knows beforehand how soon the agent succeeds: every episode is taken to its step
limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from babyai_kit.configuration.prices import Price
from babyai_kit.configuration.variants import Config
from babyai_kit.runs.records import EpisodeKey
from babyai_kit.tokens import count_text

OBSERVATION_TOKENS = 45
"""A typical mission and observation (measured on the five tasks)."""
ANSWER_TOKENS = {False: 8, True: 60}
"""A typical answer without and with reasoning."""


@dataclass(frozen=True)
class Estimate:
    """Upper bounds, from typical sizes of one call."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """None without a price."""

    def __str__(self) -> str:
        cost = "no price known" if self.cost_usd is None else f"${self.cost_usd:,.2f}"
        return (
            f"at most {self.calls:,} calls, about {self.input_tokens:,} input and "
            f"{self.output_tokens:,} output tokens, {cost}"
        )


def estimate(config: Config, calls: Iterable[tuple[EpisodeKey, int]], price: Price | None) -> Estimate:
    """Bound the plan, given as episodes with the number of steps each may still take."""
    total = input_tokens = output_tokens = 0
    for key, steps in calls:
        variant = config.variants[key.variant]
        system, user = (variant.templates.get(role, "") for role in ("system", "user"))
        history = min(key.history_length, steps) if "history" in user else 0
        total += steps
        input_tokens += steps * (count_text(system) + OBSERVATION_TOKENS * (1 + history))
        output_tokens += steps * ANSWER_TOKENS[variant.asks_reasoning]
    cost = None
    if price is not None:
        cost = price.cost_usd(input_tokens, output_tokens)
    return Estimate(total, input_tokens, output_tokens, cost)
