"""Estimators on arrays: a figure and its interval.

Pure functions on matrices [seeds, tasks], NaN where a cell has no finished episode. The independent unit is
the SEED (a row), since the tasks of one seed often share their start.

Sources: Miller 2024, arXiv 2411.00640 (clustered standard errors); Wilson 1927; Korn and Graubard 1998, Dean
and Pagano 2015 (extreme rates in clustered samples).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from babyai_kit.errors import InputError

Array = NDArray[np.float64]

CONFIDENCE = 0.95
NO_BLOCK, NO_EPISODE = "none: no complete seed block", "none: no finished episode"
NOT_KNOWN = "none: not known"
MIXED = (0.2, 0.8)
"""Rates between which t over seeds holds what it promises (benchmarks/bench_coverage.py)."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95% interval; where there is no answer, NaN, and `interval` says why."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    n_seeds: int = 0
    """Seeds behind the figure (complete blocks)."""
    n_episodes: int = 0
    """Finished episodes of those seeds."""
    n_errors: int = 0
    """Error rows, none of which is in the figure."""
    interval: str
    """`t over seeds`, `Wilson over seeds`, `Wilson`, `pooled Wilson`, `BCa bootstrap over seeds`,
    `percentile bootstrap over seeds`, `no width: all equal`, `none: one seed`, `none: no success`,
    `none: no complete seed block`, `none: no finished episode`, or
    `none: not known` (no tokens reported, no price)."""


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion (1927); (NaN, NaN) for n = 0. `successes` may be fractional."""
    if n < 0 or not 0 <= successes <= n:
        raise InputError(f"{successes} successes of {n} are impossible; use 0 <= successes <= n")
    if n == 0:
        return np.nan, np.nan
    return _score(successes / n, n, float(special.ndtri(0.5 + confidence / 2)))


def _score(p: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a rate p of n trials, which need not be whole, with that quantile."""
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return float(min(max(centre - half, 0.0), p)), float(max(min(centre + half, 1.0), p))


def complete_blocks(cells: Array) -> Array:
    """The rows of `cells` [seeds, tasks] without a NaN: [complete seeds, tasks]."""
    cells = np.asarray(cells, dtype=float)
    if cells.ndim != 2 or not cells.shape[1]:
        raise InputError(f"outcomes have shape {cells.shape}; use a matrix [seeds, tasks]")
    return cells[~np.isnan(cells).any(axis=1)]


def clustered_success(cells: Array, confidence: float = CONFIDENCE) -> Estimate:
    """Success rate of `cells` [seeds, tasks], entries in [0, 1], NaN where missing.

    One task: Wilson, a trial per seed. Several, and a rate in MIXED: t with n-1 degrees of freedom on the
    seed means (Miller 2024, with the small-sample quantile). Beyond MIXED, where t falls short: Wilson with
    that quantile and as many trials as the spread of the seed means is worth (`Wilson over seeds`). Pooled
    Wilson over all cells where the seed means are all equal (no spread to go by) or there is one seed.
    """
    cells = complete_blocks(cells)
    n, tasks = cells.shape
    if not n:
        return Estimate(interval=NO_BLOCK)
    if np.min(cells) < 0 or np.max(cells) > 1:
        raise InputError("success lies outside [0, 1]; use 0, 1 or rates")
    means = cells.mean(axis=1)
    value = float(means.mean())
    if tasks == 1 or n == 1 or np.ptp(means) < 1e-12:
        low, high = wilson(min(value, 1.0) * cells.size, cells.size, confidence)
        kind = "Wilson" if tasks == 1 else "pooled Wilson"
    else:
        t = float(stats.t.ppf(0.5 + confidence / 2, n - 1))
        error = float(means.std(ddof=1) / np.sqrt(n))
        if MIXED[0] <= value <= MIXED[1]:
            low, high, kind = max(value - t * error, 0.0), min(value + t * error, 1.0), "t over seeds"
        else:
            (low, high), kind = _score(value, value * (1 - value) / error**2, t), "Wilson over seeds"
    return Estimate(
        value=value, low=float(low), high=float(high), n_seeds=n, n_episodes=cells.size, interval=kind
    )


def reasons(intervals: Iterable[str]) -> list[str]:
    """Why there are no figures: the kinds that begin with `none: `, without that, sorted, each once."""
    return sorted({kind.removeprefix("none: ") for kind in intervals if kind.startswith("none: ")})
