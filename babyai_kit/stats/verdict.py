"""What a row of `compare` says, in a sentence that holds no more than the row does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from babyai_kit.stats.measures import Measure, p_value_text

SIGNIFICANT = 0.05
"""Holm's p below which a difference is called one."""
MORE_IS_BETTER = ("success", "episode_return")
"""Measures of which more is better whoever asks; of the others, such as tokens, that is for the reader."""


def verdict(name: str, row: Mapping[Any, Any], measure: Measure) -> str:
    """How the agent `name` compares with the baseline of its row: which is better, whether that may be
    chance, and which differences these seeds could not have found."""
    base, difference, seeds = row["baseline"], row["difference"], int(row["n_seeds"])
    n_seeds = f"{seeds} seed{'' if seeds == 1 else 's'}"
    if math.isnan(difference):
        return f"{name} cannot be compared with {base}: {str(row['interval']).partition(': ')[2]}."
    if measure.name in MORE_IS_BETTER:
        direction, aspect = "better" if difference > 0 else "worse", ""
    else:
        direction, aspect = "higher" if difference > 0 else "lower", f" in {measure.label}"
    size = f"{measure.number(abs(difference))} {measure.difference_unit}".rstrip()
    p = row["p_holm"]
    result = f"{name} is {direction} than {base}{aspect} by {size}"
    if not difference:
        result = f"{name} and {base} are equal in {measure.label}"
    elif math.isnan(p):
        return f"{result}; on {n_seeds} this cannot be tested."
    else:
        chance = "" if p < SIGNIFICANT else ", which may be chance"
        result += f"{chance} (Holm's p {p_value_text(p)})"
    if math.isnan(row["detectable"]):
        return f"{result}."
    smallest = f"{measure.number(row['detectable'])} {measure.difference_unit}".rstrip()
    return f"{result}; with {n_seeds} only differences above {smallest} could be found."
