"""How small a difference a design can find: power of the paired t test over seeds.

Pure functions of numbers; differences are in the unit of the standard deviation given. Two-sided, exact under
normal seed differences (noncentral t).

Source: Cohen 1988, chapter 2.
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import optimize, stats

from babyai_kit.errors import InputError
from babyai_kit.stats.estimators import CONFIDENCE

POWER = 0.8


def power(difference: float, sd: float, n: int, confidence: float = CONFIDENCE) -> float:
    """Chance that `n` seeds whose differences have that mean and `sd` are told from no difference.

    NaN for fewer than two seeds or sd 0.
    """
    _check(sd, n, confidence)
    if n < 2 or not sd > 0:
        return math.nan
    limit = stats.t.ppf(0.5 + confidence / 2, n - 1)
    shift = abs(difference) / sd * math.sqrt(n)
    wrong_sign = stats.nct.cdf(-limit, n - 1, shift)  # scipy has NaN where this is next to nothing
    return float(stats.nct.sf(limit, n - 1, shift) + (0.0 if math.isnan(wrong_sign) else wrong_sign))


def smallest_detectable(sd: float, n: int, chance: float = POWER, confidence: float = CONFIDENCE) -> float:
    """The true mean difference that `n` seeds find with probability `chance`; NaN as in `power`."""
    _check(sd, n, confidence)
    if not 1 - confidence < chance < 1:
        raise InputError(f"a power of {chance} is impossible; use one between {1 - confidence:g} and 1")
    if n < 2 or not sd > 0:
        return math.nan
    return sd * _standardized(n, chance, confidence)


@lru_cache(maxsize=64)
def _standardized(n: int, chance: float, confidence: float) -> float:
    """`smallest_detectable` in standard deviations: slow to find, and asked for again and again."""
    upper = 1.0
    while power(upper, 1.0, n, confidence) < chance:
        upper *= 2
    return float(optimize.brentq(lambda d: power(d, 1.0, n, confidence) - chance, 0.0, upper, xtol=1e-13))


def seeds_needed(difference: float, sd: float, chance: float = POWER, confidence: float = CONFIDENCE) -> int:
    """The fewest seeds that find that true mean difference with probability `chance`."""
    if not difference or not sd > 0 or not math.isfinite(difference / sd):
        raise InputError(
            f"no number of seeds finds a difference of {difference} with sd {sd}; neither may be 0"
        )
    too_few, enough = 1, 2
    while not power(difference, sd, enough, confidence) >= chance:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if power(difference, sd, middle, confidence) >= chance:
            enough = middle
        else:
            too_few = middle
    return enough


def _check(sd: float, n: int, confidence: float) -> None:
    if n < 0 or sd < 0:
        raise InputError(
            f"{n} seeds with a standard deviation of {sd} are impossible; neither may be negative"
        )
    if not 0 < confidence < 1:
        raise InputError(f"a confidence of {confidence} is impossible; use one between 0 and 1")
