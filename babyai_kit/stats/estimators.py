"""Estimators on arrays: a figure and its interval.

Pure functions on matrices [seeds, tasks], NaN where a cell has no finished episode; knows no DataFrame. The
independent unit is the SEED (a row), since the tasks of one seed often share their start.

Sources: Miller 2024, arXiv 2411.00640 (clustered standard errors); Wilson 1927; Efron 1987 (BCa).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from babyai_kit.errors import InputError

Array = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 10_000
BOOTSTRAP_SEED = 20_240_807


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval; where there is no answer, NaN, and `interval` says why."""

    value: float
    low: float
    high: float
    n_seeds: int
    """Seeds behind the figure (complete blocks)."""
    n_episodes: int
    """Finished episodes of those seeds."""
    n_errors: int
    """Error rows, none of which is in the figure."""
    interval: str
    """`t over seeds`, `Wilson`, `pooled Wilson`, `BCa bootstrap over seeds`,
    `percentile bootstrap over seeds`, `no width: all equal`, `none: one seed`, `none: no success`,
    `none: no complete seed block`, `none: no finished episode`, or
    `none: not known` (no tokens reported, no price)."""


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion (1927); (NaN, NaN) for n = 0. `successes` may be fractional."""
    if n < 0 or not 0 <= successes <= n:
        raise InputError(f"{successes} successes of {n} are impossible; give 0 <= successes <= n")
    if n == 0:
        return np.nan, np.nan
    p, z = successes / n, float(special.ndtri(0.5 + confidence / 2))
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return float(min(max(centre - half, 0.0), p)), float(max(min(centre + half, 1.0), p))


def complete_blocks(cells: Array) -> Array:
    """The rows of `cells` [seeds, tasks] without a NaN: [complete seeds, tasks]."""
    cells = np.asarray(cells, dtype=float)
    if cells.ndim != 2 or not cells.shape[1]:
        raise InputError(f"outcomes have shape {cells.shape}; give a matrix [seeds, tasks]")
    return cells[~np.isnan(cells).any(axis=1)]


def clustered_success(cells: Array, confidence: float = CONFIDENCE) -> Estimate:
    """Success rate of `cells` [seeds, tasks], entries in [0, 1], NaN where missing.

    One task: Wilson over seeds. Several: t with n-1 degrees of freedom on the seed means (Miller 2024, with
    the small-sample quantile), cut to [0, 1]; pooled Wilson over all cells where the seed means are all equal
    (t would have no width) or there is one seed.
    """
    cells = complete_blocks(cells)
    n, tasks = cells.shape
    if not n:
        return nothing()
    if np.min(cells) < 0 or np.max(cells) > 1:
        raise InputError("success lies outside [0, 1]; give 0, 1 or rates")
    means = cells.mean(axis=1)
    value = float(means.mean())
    if tasks == 1 or n == 1 or np.ptp(means) < 1e-12:
        low, high = wilson(min(value, 1.0) * cells.size, cells.size, confidence)
        kind = "Wilson" if tasks == 1 else "pooled Wilson"
    else:
        half = stats.t.ppf(0.5 + confidence / 2, n - 1) * means.std(ddof=1) / np.sqrt(n)
        low, high, kind = max(value - half, 0.0), min(value + half, 1.0), "t over seeds"
    return Estimate(value, float(low), float(high), n, cells.size, 0, kind)


@lru_cache(maxsize=2)
def _draws(n: int) -> Array:
    """How often each resample [RESAMPLES, n] draws each seed: the same for every figure, task and variant."""
    index = np.random.default_rng(BOOTSTRAP_SEED).integers(0, n, (RESAMPLES, n))
    flat = (index + n * np.arange(RESAMPLES)[:, None]).ravel()
    return np.bincount(flat, minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(float)


def bootstrap(numerator: Array, denominator: Array | None = None, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of `numerator` [seeds, tasks], or its ratio to that of `denominator`, resampled by whole seeds.

    BCa (Efron 1987); percentile where BCa is undefined or a resample has denominator 0. An undefined resample
    (0/0) is left out, an infinite one stays and may make `high` infinite. Widened, if ever needed, to contain
    the value. A denominator of 0 throughout gives NaN. All seeds equal: no width; one seed: NaN limits.
    """
    x = np.asarray(numerator, dtype=float)
    y = np.ones_like(x) if denominator is None else np.asarray(denominator, dtype=float)
    if x.shape != y.shape:
        raise InputError(f"numerator {x.shape} and denominator {y.shape} differ; give them one shape")
    whole = complete_blocks(np.hstack([x, y]) if x.ndim == 2 else x)
    n, tasks = len(whole), x.shape[1]
    if not n:
        return nothing()
    top, bottom = whole[:, :tasks].mean(axis=1), whole[:, tasks:].mean(axis=1)
    if not bottom.any():
        return Estimate(np.nan, np.nan, np.nan, n, n * tasks, 0, "none: no success")
    value = float(top.mean() / bottom.mean())
    if n == 1:
        return Estimate(value, np.nan, np.nan, n, tasks, 0, "none: one seed")
    if np.ptp(top) <= 1e-12 * np.abs(top).max() and np.ptp(bottom) <= 1e-12:
        return Estimate(value, value, value, n, n * tasks, 0, "no width: all equal")
    with np.errstate(divide="ignore", invalid="ignore"):
        resampled = (_draws(n) @ top) / (_draws(n) @ bottom)
        jackknife = (top.sum() - top) / (bottom.sum() - bottom)
    resampled = resampled[~np.isnan(resampled)]
    low, high, kind = _limits(resampled, jackknife, value, confidence)
    return Estimate(value, min(low, value), max(high, value), n, n * tasks, 0, kind)


def _limits(resampled: Array, jackknife: Array, value: float, confidence: float) -> tuple[float, float, str]:
    """Both quantiles of `resampled` [B], by BCa if it is defined there."""
    levels = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if not np.isfinite(resampled).all():  # no interpolation towards infinity
        low = np.quantile(resampled, float(levels[0]), method="lower")
        high = np.quantile(resampled, float(levels[1]), method="higher")
        return float(low), float(high), "percentile bootstrap over seeds"
    near = 1e-12 * max(abs(value), float(np.abs(resampled).max()))  # equal sums in another order are ties
    below = ((resampled < value - near).mean() + (resampled <= value + near).mean()) / 2
    pull = jackknife.mean() - jackknife if np.isfinite(jackknife).all() else np.zeros(1)
    if 0 < below < 1 and (spread := float((pull**2).sum())) > 0:
        acceleration = float((pull**3).sum()) / (6 * spread**1.5)
        bias = special.ndtri(below)
        z = bias + special.ndtri(levels)
        if (1 - acceleration * z > 0).all():
            low, high = np.quantile(resampled, special.ndtr(bias + z / (1 - acceleration * z)))
            return float(low), float(high), "BCa bootstrap over seeds"
    low, high = np.quantile(resampled, levels)
    return float(low), float(high), "percentile bootstrap over seeds"


def nothing() -> Estimate:
    """The answer where no seed has a finished episode of every task."""
    return Estimate(np.nan, np.nan, np.nan, 0, 0, 0, "none: no complete seed block")
