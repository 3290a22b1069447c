"""The measures of an agent: how each is computed, named and formatted.

Everything that tables, figures and the command line say about a measure is said here once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from babyai_kit.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A mean over episodes or, with a denominator, a ratio of two means."""

    name: str
    label: str
    """In lower case, without the unit: `episode length`."""
    unit: str = ""
    """Of a value: `%`, `steps`, `US dollars`, or none."""
    decimals: int
    ratio: tuple[str, str] | None = None
    """Numerator and denominator, columns of the table prepared by `tables.groups`; None: a mean."""
    sources: tuple[str, ...] = ()
    """The columns of the `episodes` table that a ratio or a sum is made of."""
    is_rate: bool = False
    """Whether outcomes are 0 or 1; rates have estimators of their own, and bounds."""
    start: float = 0.0
    """Where a figure's scale starts."""
    limit: float | None = None
    """Where it ends; None: after the largest value."""
    unknown: str = "no value known for {}"
    """What a figure says of models without a value."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The columns that are averaged: the numerator and, of a ratio, the denominator."""
        return self.ratio or (self.name,)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the `episodes` table without which the measure is not known."""
        return self.sources or (self.name,)

    @property
    def factor(self) -> int:
        """What a value is multiplied by to be in `unit`."""
        return 100 if self.unit == "%" else 1

    @property
    def heading(self) -> str:
        """`episode length (steps)`."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def title(self) -> str:
        """`Episode length (steps)`."""
        return self.heading[0].upper() + self.heading[1:]

    @property
    def difference_unit(self) -> str:
        """The unit of a difference of two values."""
        return "points" if self.unit == "%" else self.unit

    def number(self, value: float, sign: str = "") -> str:
        """`value` in the measure's unit, without the unit: `83.3`; with the sign "+", `+83.3`."""
        return UNKNOWN if math.isnan(value) else f"{self.factor * value:{sign},.{self.decimals}f}"

    def difference(self, value: float) -> str:
        """A difference of two values: `+3.3`."""
        return self.number(value, "+")

    def text(self, value: float) -> str:
        """`value` with a sign for its unit, if there is one: `83.3%`, `$0.00120`, `54.6`."""
        if math.isnan(value):
            return UNKNOWN
        suffix = "%" if self.unit == "%" else ""
        prefix = "$" if self.unit == DOLLARS else ""
        return f"{prefix}{self.number(value)}{suffix}"


UNKNOWN = "–"
"""Stands where there is no figure."""

DOLLARS = "US dollars"
NO_TOKENS = "no token usage reported by {}, so tokens are not shown"
NO_PRICE = "no price known for {}, so costs are not shown"

MEASURES = {
    measure.name: measure
    for measure in (
        Measure(name="success", label="success rate", unit="%", decimals=1, is_rate=True, limit=1.0),
        Measure(name="episode_return", label="episode return", decimals=3, limit=1.0),
        Measure(name="episode_length", label="episode length", unit="steps", decimals=1),
        Measure(
            name="length_given_success",
            label="length of successes",
            unit="steps",
            decimals=1,
            ratio=("_successful_steps", "success"),
            sources=("episode_length",),
        ),
        # The mean over successes of steps / shortest_length: 1 is the shortest path, 2 twice as long.
        Measure(
            name="optimality",
            label="length of successes / shortest path",
            decimals=2,
            ratio=("_detour", "success"),
            sources=("shortest_length",),
            start=1.0,
            unknown="no shortest path known for the levels played by {}",
        ),
        Measure(name="input_tokens", label="input tokens per episode", decimals=0, unknown=NO_TOKENS),
        Measure(name="output_tokens", label="output tokens per episode", decimals=0, unknown=NO_TOKENS),
        Measure(
            name="tokens",
            label="tokens per episode",
            decimals=0,
            sources=("input_tokens", "output_tokens"),
            unknown=NO_TOKENS,
        ),
        Measure(name="cost_usd", label="cost per episode", unit=DOLLARS, decimals=5, unknown=NO_PRICE),
        Measure(
            name="tokens_per_success",
            label="tokens per success",
            decimals=0,
            ratio=("tokens", "success"),
            sources=("input_tokens", "output_tokens"),
            unknown=NO_TOKENS,
        ),
        Measure(
            name="cost_per_success",
            label="cost per success",
            unit=DOLLARS,
            decimals=5,
            ratio=("cost_usd", "success"),
            sources=("cost_usd",),
            unknown=NO_PRICE,
        ),
    )
}
"""The measures by name, in the order of tables."""


def measure_of(name: str) -> Measure:
    """The measure of that name. Raises InputError if there is none."""
    if name not in MEASURES:
        raise InputError(f"unknown measure {name!r}; use one of {', '.join(MEASURES)}")
    return MEASURES[name]


def p_value_text(p: float) -> str:
    """`0.035`, or `<0.001`."""
    if math.isnan(p):
        return UNKNOWN
    return "<0.001" if p < 0.001 else f"{p:.3f}"
