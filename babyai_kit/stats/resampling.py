"""Resampling by whole seeds: bootstrap intervals and sign-flip tests.

Pure functions of seed means [seeds]. A statistic is a function of weights [draws, seeds]: how often each seed
is drawn. The draws depend on the number of seeds alone, so that every figure, task and variant of a run is
resampled by the same seeds.

Quantiles are taken further out for few seeds (Hesterberg 2015): plain ones covered .88 to .94 where .95 is
promised (benchmarks/bench_coverage.py).

Sources: Efron 1987 (BCa); Hesterberg 2015, arXiv 1411.5279 (expanded quantiles); Fisher 1935 and Phipson and
Smyth 2010 (randomization tests, p-values never 0).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import special, stats

from babyai_kit.errors import InputError
from babyai_kit.stats.estimators import CONFIDENCE, NO_BLOCK, Array, Estimate, complete_blocks

RESAMPLES = 10_000
BOOTSTRAP_SEED = 20_240_807
BCA, PERCENTILE = "BCa bootstrap over seeds", "percentile bootstrap over seeds"
ALL_EQUAL, ONE_SEED, NO_SUCCESS = "no width: all equal", "none: one seed", "none: no success"

Statistic = Callable[[Array], Array]
"""Weights [draws, seeds] to values [draws]."""


def bootstrap(
    numerator: Array, denominator: Array | None = None, *, confidence: float = CONFIDENCE
) -> Estimate:
    """Mean of `numerator` [seeds, tasks], or its ratio to that of `denominator`, resampled by whole seeds.

    BCa (Efron 1987); percentile where BCa is undefined or a resample has denominator 0. An undefined resample
    (0/0) is left out, an infinite one stays and may make `high` infinite. Widened, if ever needed, to contain
    the value. A denominator of 0 throughout gives NaN. All seeds equal: no width; one seed (or a
    single one with a success, of a figure of successes alone): NaN limits.
    """
    x = np.asarray(numerator, dtype=float)
    y = np.ones_like(x) if denominator is None else np.asarray(denominator, dtype=float)
    if x.shape != y.shape:
        raise InputError(f"numerator {x.shape} and denominator {y.shape} differ; they must have one shape")
    whole = complete_blocks(np.hstack([x, y]) if x.ndim == 2 else x)
    n, tasks = len(whole), x.shape[1]
    if not n:
        return Estimate(interval=NO_BLOCK)
    top, bottom = whole[:, :tasks].mean(axis=1), whole[:, tasks:].mean(axis=1)
    value = float(top.mean() / bottom.mean()) if bottom.any() else np.nan
    n_informative = n if denominator is None else informative_seeds(top, bottom)
    low, high, kind = seed_interval(ratio(top, bottom), value, n, n_informative, confidence)
    return Estimate(value=value, low=low, high=high, n_seeds=n, n_episodes=n * tasks, interval=kind)


def ratio(top: Array, bottom: Array, *baseline: Array) -> Statistic:
    """Weighted sum of `top` over that of `bottom`, both [seeds], less the same of the `baseline`'s top and
    bottom if given; inf or NaN where a bottom is 0."""

    def statistic(weights: Array) -> Array:
        sums = weights @ np.column_stack([top, bottom, *baseline])  # in one pass: memory is the limit
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios: Array = sums[:, ::2] / sums[:, 1::2]
            return ratios[:, 0] - ratios[:, 1] if baseline else ratios[:, 0]

    return statistic


def informative_seeds(top: Array, bottom: Array) -> int:
    """Seeds that the ratio of two sums rests on: of steps in successes, those with a success."""
    return int(((top != 0) | (bottom != 0)).sum())


def expanded_levels(n: int, confidence: float = CONFIDENCE) -> Array:
    """Both quantiles to take of `n` > 1 seeds: of a normal sample, they are where its t interval ends."""
    reach = np.sqrt(n / (n - 1)) * stats.t.ppf(0.5 + confidence / 2, n - 1)
    finest = 0.5 / RESAMPLES
    levels: Array = np.clip(special.ndtr([-reach, reach]), finest, 1 - finest)
    return levels


def seed_interval(
    statistic: Statistic,
    value: float,
    n: int,
    n_informative: int,
    confidence: float = CONFIDENCE,
    bca: bool = True,
) -> tuple[float, float, str]:
    """(low, high, kind) of a statistic of `n` seeds, of which `n_informative` say something: see `bootstrap`.

    `bca`: correct for skewness, else plain percentiles.
    """
    if not np.isfinite(value):
        return np.nan, np.nan, NO_SUCCESS
    if n_informative == 1:
        return np.nan, np.nan, ONE_SEED
    resampled = statistic(_draws(n))
    resampled = resampled[~np.isnan(resampled)]
    if np.ptp(resampled[np.isfinite(resampled)]) <= 1e-12 * abs(value) and np.isfinite(resampled).all():
        return value, value, ALL_EQUAL
    jackknife = statistic(1 - np.eye(n)) if bca else np.full(n, np.nan)
    low, high, kind = _limits(resampled, jackknife, value, expanded_levels(n, confidence))
    return min(low, value), max(high, value), kind


def resampled_means(means: Array) -> Array:
    """Seed means [seeds, ...] averaged over each resample: [RESAMPLES, ...]."""
    values: Array = _draws(len(means)) @ means / len(means)
    return values


def sign_flips(n: int) -> tuple[Array, bool]:
    """Signs [draws, n]: all 2^n where these are at most RESAMPLES (True), else random ones (False)."""
    return _flips(n), 2**n <= RESAMPLES


@lru_cache(maxsize=2)
def _flips(n: int) -> Array:
    if 2**n <= RESAMPLES:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        bits = np.random.default_rng(BOOTSTRAP_SEED).integers(0, 2, (RESAMPLES, n))
    return 1.0 - 2.0 * bits.astype(float)


@lru_cache(maxsize=2)
def _draws(n: int) -> Array:
    """How often each resample [RESAMPLES, n] draws each seed: the same for every figure, task and variant."""
    index = np.random.default_rng(BOOTSTRAP_SEED).integers(0, n, (RESAMPLES, n))
    flat = (index + n * np.arange(RESAMPLES)[:, None]).ravel()
    return np.bincount(flat, minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(float)


def _limits(resampled: Array, jackknife: Array, value: float, levels: Array) -> tuple[float, float, str]:
    """Both quantiles of `resampled` [B], by BCa if it is defined there."""
    if not np.isfinite(resampled).all():  # no interpolation towards infinity
        low = np.quantile(resampled, float(levels[0]), method="lower")
        high = np.quantile(resampled, float(levels[1]), method="higher")
        return float(low), float(high), PERCENTILE
    near = 1e-12 * max(abs(value), float(np.abs(resampled).max()))  # equal sums in another order are ties
    below = ((resampled < value - near).mean() + (resampled <= value + near).mean()) / 2
    pull = jackknife.mean() - jackknife if np.isfinite(jackknife).all() else np.zeros(1)
    spread = float((pull**2).sum())
    if 0 < below < 1 and spread > 0:
        acceleration = float((pull**3).sum()) / (6 * spread**1.5)
        bias = special.ndtri(below)
        z = bias + special.ndtri(levels)
        if (1 - acceleration * z > 0).all():
            low, high = np.quantile(resampled, special.ndtr(bias + z / (1 - acceleration * z)))
            return float(low), float(high), BCA
    low, high = np.quantile(resampled, levels)
    return float(low), float(high), PERCENTILE
