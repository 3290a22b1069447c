"""Two agents on the same seeds: the difference, its interval, and the chance of one so large by luck.

Pure functions on matrices [seeds, tasks], a row of both being the same seed. Only rows without a NaN in
either matrix count (complete shared seed blocks).

Sources: Miller 2024, arXiv 2411.00640 (paired, clustered differences); Bonett and Price 2012; McNemar 1947;
Holm 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from babyai_kit.errors import InputError
from babyai_kit.stats.estimators import CONFIDENCE, NO_BLOCK, Array, complete_blocks
from babyai_kit.stats.power import POWER, smallest_detectable
from babyai_kit.stats.resampling import (
    NO_SUCCESS,
    informative_seeds,
    ratio,
    seed_interval,
    sign_flips,
)

PAIRED_T, BONETT_PRICE, POOLED = "paired t over seeds", "Bonett-Price", "pooled Bonett-Price"
T_TEST, MCNEMAR, SIGNS = "paired t test over seeds", "exact McNemar test", "exact sign test over seeds"
FLIPS, RANDOM_FLIPS = "exact sign-flip test over seeds", "sign-flip test over seeds"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What an agent has more than the baseline, with a 95% interval; NaN where there is no answer."""

    value: float = np.nan
    """The agent's, on the shared seeds; likewise baseline_value."""
    baseline_value: float = np.nan
    difference: float = np.nan
    low: float = np.nan
    high: float = np.nan
    interval: str
    """`paired t over seeds`, `Bonett-Price`, `pooled Bonett-Price`, or one of the bootstraps and reasons of
    Estimate."""
    p_value: float = np.nan
    """Two-sided, of no difference; not corrected."""
    test: str = "none"
    """`paired t test over seeds`, `exact McNemar test`, `exact sign test over seeds`, `exact sign-flip test
    over seeds`, `sign-flip test over seeds`, or `none`."""
    detectable: float = np.nan
    """The smallest true difference that these seeds would find with 80% power at that (uncorrected) level."""
    n_seeds: int = 0
    """Complete seed blocks that both have."""
    n_pairs: int = 0
    """Pairs (seed, task) in them."""
    only_agent: float = np.nan
    """Pairs where the agent alone succeeded, and likewise only_baseline; the expected number where repeats
    make rates of outcomes. NaN for other measures."""
    only_baseline: float = np.nan

    @property
    def n_discordant(self) -> float:
        return self.only_agent + self.only_baseline


def bonett_price(only_a: float, only_b: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the difference of two paired proportions (Bonett and Price 2012, adjusted Wald).

    `only_a`, `only_b`: the discordant of `n` pairs. Cut to [-1, 1]; (NaN, NaN) for n = 0.
    """
    if n < 0 or only_a < 0 or only_b < 0 or not only_a + only_b <= n * (1 + 1e-12):
        raise InputError(f"{only_a} and {only_b} of {n} pairs can't be discordant; use counts within n")
    if n == 0:
        return np.nan, np.nan
    centre, error = _adjusted(only_a, only_b, n)
    half = float(special.ndtri(0.5 + confidence / 2)) * error
    exact = (only_a - only_b) / n
    return min(max(centre - half, -1.0), exact), max(min(centre + half, 1.0), exact)


def mcnemar(only_a: float, only_b: float) -> float:
    """Exact two-sided p-value (McNemar 1947, binomial) of so unequal discordant counts; 1 without any."""
    a, b = round(only_a), round(only_b)
    if a < 0 or b < 0 or abs(a - only_a) + abs(b - only_b) > 1e-9:
        raise InputError(f"{only_a} and {only_b} are not counts; use whole numbers from 0")
    return float(stats.binomtest(a, a + b).pvalue) if a + b else 1.0


def holm(p_values: Sequence[float] | Array) -> Array:
    """Holm's (1979) step-down correction of one family [k], each in [0, 1]; NaN stays and counts for none."""
    p = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    corrected = np.full(p.shape, np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return corrected


def paired_success(agent: Array, baseline: Array, *, confidence: float = CONFIDENCE) -> Difference:
    """Difference of two success rates [seeds, tasks], entries in [0, 1].

    One task, outcomes 0 or 1: Bonett-Price and exact McNemar. Else D[s], the mean over tasks of the
    difference on seed s: t interval and t test with n-1 degrees of freedom. Where t has no width (one seed,
    or all D alike): pooled Bonett-Price over all pairs, and the sign test of D.
    """
    a, b = _blocks(agent, baseline)
    if not len(a):
        return Difference(interval=NO_BLOCK)
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) > 1:
        raise InputError("success lies outside [0, 1]; use 0, 1 or rates")
    n, tasks = a.shape
    only_a, only_b = float((a * (1 - b)).sum()), float((b * (1 - a)).sum())
    d = (a - b).mean(axis=1)
    value, other, mean = float(a.mean(axis=1).mean()), float(b.mean(axis=1).mean()), float(d.mean())
    one_table = tasks == 1 and bool(np.isin(np.hstack([a, b]), (0, 1)).all())
    if one_table or n == 1 or np.ptp(d) < 1e-12:
        low, high = bonett_price(only_a, only_b, a.size, confidence)
        # Of one table it is McNemar's, of seeds the sign test.
        p = mcnemar(int((d > 1e-12).sum()), int((d < -1e-12).sum()))
        kind, test = (BONETT_PRICE, MCNEMAR) if one_table else (POOLED, SIGNS)
        quantiles = special.ndtri(0.5 + confidence / 2) + special.ndtri(POWER)
        detectable = float(quantiles * _adjusted(only_a, only_b, a.size)[1])
    else:
        error = d.std(ddof=1) / np.sqrt(n)
        half = stats.t.ppf(0.5 + confidence / 2, n - 1) * error
        low, high, kind = max(mean - half, -1.0), min(mean + half, 1.0), PAIRED_T
        p, test = float(2 * stats.t.sf(abs(mean) / error, n - 1)), T_TEST
        detectable = smallest_detectable(float(d.std(ddof=1)), n, confidence=confidence)
    return Difference(
        value=value,
        baseline_value=other,
        difference=mean,
        low=float(low),
        high=float(high),
        interval=kind,
        p_value=p,
        test=test,
        detectable=detectable,
        n_seeds=n,
        n_pairs=a.size,
        only_agent=only_a,
        only_baseline=only_b,
    )


def paired_bootstrap(
    agent: Array,
    baseline: Array,
    agent_denominator: Array | None = None,
    baseline_denominator: Array | None = None,
    *,
    confidence: float = CONFIDENCE,
) -> Difference:
    """Difference of two means [seeds, tasks] or, with denominators of those shapes, of two ratios of means.

    Both are resampled by the same seeds (see `bootstrap`), and percentiles taken: skewness mostly cancels in
    a difference, and correcting for it covered less. The p-value: on each seed the two agents change places
    or not; all ways for up to 13 seeds, else 10,000 random ones. `detectable` takes the seeds' shares of the
    difference as its spread.
    """
    ones = np.ones_like(agent, dtype=float)
    denominators = [ones if m is None else m for m in (agent_denominator, baseline_denominator)]
    blocks = _blocks(agent, baseline, *denominators)
    n, tasks = blocks[0].shape
    if not n:
        return Difference(interval=NO_BLOCK)
    a, b, under_a, under_b = (m.mean(axis=1) for m in blocks)
    value = float(a.mean() / under_a.mean()) if under_a.any() else np.nan
    other = float(b.mean() / under_b.mean()) if under_b.any() else np.nan
    mean = value - other
    if not np.isfinite(mean):
        return Difference(
            value=value, baseline_value=other, interval=NO_SUCCESS, n_seeds=n, n_pairs=n * tasks
        )
    statistic = ratio(a, under_a, b, under_b)
    n_informative = n
    if agent_denominator is not None:
        n_informative = min(informative_seeds(a, under_a), informative_seeds(b, under_b))
    low, high, kind = seed_interval(statistic, mean, n, n_informative, confidence, bca=False)
    shares = (a - value * under_a) / under_a.mean() - (b - other * under_b) / under_b.mean()
    spread = float(shares.std(ddof=1)) if n > 1 else np.nan
    has_spread = spread > 1e-12 * max(abs(value), abs(other))
    p, test = _sign_flip_test(a, b, under_a, under_b, mean)
    return Difference(
        value=value,
        baseline_value=other,
        difference=mean,
        low=low,
        high=high,
        interval=kind,
        p_value=p,
        test=test,
        detectable=smallest_detectable(spread, n, confidence=confidence) if has_spread else np.nan,
        n_seeds=n,
        n_pairs=n * tasks,
    )


def _sign_flip_test(a: Array, b: Array, under_a: Array, under_b: Array, mean: float) -> tuple[float, str]:
    """p-value of the difference `mean` of ratios of seed means [seeds], and the test's name."""
    signs, is_exact = sign_flips(len(a))
    top, bottom = (signs @ np.column_stack([a - b, under_a - under_b])).T
    tops, bottoms = (a + b).sum(), (under_a + under_b).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs((tops + top) / (bottoms + bottom) - (tops - top) / (bottoms - bottom))
    # What is undefined counts as large; equal sums in another order are ties.
    scale = 1e-12 * (abs(mean) + abs(tops / bottoms))
    extreme = int((~(size < abs(mean) - scale)).sum())
    if is_exact:
        return extreme / len(size), FLIPS
    return (extreme + 1) / (len(size) + 1), RANDOM_FLIPS


def _adjusted(only_a: float, only_b: float, n: int) -> tuple[float, float]:
    """Bonett and Price's difference and its standard error: one more discordant pair of each kind."""
    p, q = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    return p - q, float(np.sqrt((p + q - (p - q) ** 2) / (n + 2)))


def _blocks(*matrices: Array) -> list[Array]:
    """The rows that are complete in all matrices [seeds, tasks] of one shape."""
    arrays = [np.asarray(m, dtype=float) for m in matrices]
    if len({m.shape for m in arrays}) > 1:
        shapes = " and ".join(str(m.shape) for m in arrays)
        raise InputError(f"the matrices {shapes} differ; use a row per seed and a column per task")
    whole = complete_blocks(np.hstack(arrays) if arrays[0].ndim == 2 else arrays[0])
    return np.hsplit(whole, len(arrays))
