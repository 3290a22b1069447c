"""Differences on arrays against figures computed by hand, statsmodels' and scipy's, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from babyai_kit.errors import InputError
from babyai_kit.stats import (
    Difference,
    bonett_price,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_success,
    wilson,
)
from tests.stats.test_estimators import level_of

shapes = st.tuples(st.integers(1, 8), st.integers(1, 4))
counts = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)
NUMBERS = ("difference", "low", "high", "p_value", "detectable")


@st.composite
def two(draw: st.DrawFn, entries: st.SearchStrategy[float]) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(shapes)
    return draw(arrays(float, shape, elements=entries)), draw(arrays(float, shape, elements=entries))


outcomes = two(st.sampled_from([0.0, 1.0]))
rates = two(st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]))
lengths = two(st.integers(1, 128).map(float))


def numbers(result: Difference, sign: int = 1) -> list[float]:
    """The figures; with sign -1 as the exchanged agents must have them."""
    if sign == 1:
        return [getattr(result, name) for name in NUMBERS]
    return [-result.difference, -result.high, -result.low, result.p_value, result.detectable]


def test_bonett_price_by_hand() -> None:
    # 20 pairs, 8 and 2 discordant: 9/22 - 3/22 = 6/22; variance (12/22 - (6/22)^2) / 22 = .021413; z 1.95996.
    low, high = bonett_price(8, 2, 20)
    half = 1.959964 * np.sqrt((12 / 22 - (6 / 22) ** 2) / 22)
    assert (low, high) == pytest.approx((6 / 22 - half, 6 / 22 + half), abs=1e-6)
    assert (low, high) == pytest.approx((-0.0141, 0.5595), abs=5e-5)
    assert bonett_price(0, 0, 20) == pytest.approx((-0.12599, 0.12599), abs=1e-5)  # 1.96 sqrt(2/22 / 22)
    assert np.isnan(bonett_price(0, 0, 0)).all()


@given(counts)
def test_bonett_price_laws(cells: tuple[int, int, int]) -> None:
    a, b, same = cells
    n = a + b + same
    assume(n)
    low, high = bonett_price(a, b, n)
    assert -1 <= low <= (a - b) / n <= high <= 1
    assert bonett_price(b, a, n) == pytest.approx((-high, -low))
    inner = bonett_price(a, b, n, 0.8)
    assert low <= inner[0] <= inner[1] <= high


@given(counts)
def test_mcnemar_is_statsmodels(cells: tuple[int, int, int]) -> None:
    a, b, same = cells
    known = their_mcnemar(np.array([[same, a], [b, 0]]), exact=True).pvalue
    assert mcnemar(a, b) == pytest.approx(min(known, 1.0), abs=1e-9)
    assert mcnemar(a, b) == mcnemar(b, a)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(7, 0) == pytest.approx(2 / 128)
    assert mcnemar(8, 1) == pytest.approx(2 * 10 / 512)
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1
    with pytest.raises(InputError, match="not counts"):
        mcnemar(0.5, 1)


@settings(max_examples=25)
@given(p_values)
def test_holm_is_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-9)
    holed = holm([np.nan, *p])
    assert np.isnan(holed[0])
    assert holed[1:] == pytest.approx(holm(p))


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]).shape == (0,)


@given(st.integers(1, 300), st.data())
def test_wilson_is_statsmodels(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    assert wilson(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-9)


def test_paired_success_by_hand() -> None:
    # Ten seeds differ by 1/4, ten by 0: mean 1/8, sd 1/8 * sqrt(20/19); t(.975, 19) = 2.0930.
    a = np.tile([[1.0, 1, 1, 0], [1, 0, 1, 0]], (10, 1))
    b = np.tile([[1.0, 1, 0, 0], [1, 0, 0, 1]], (10, 1))
    result = paired_success(a, b)
    half = 2.0930 * 0.125 / np.sqrt(19)
    assert (result.value, result.baseline_value, result.difference) == (0.625, 0.5, 0.125)
    assert (result.low, result.high) == pytest.approx((0.125 - half, 0.125 + half), abs=1e-5)
    assert (result.n_seeds, result.n_pairs, result.interval) == (20, 80, "paired t over seeds")
    assert (result.only_agent, result.only_baseline, result.n_discordant) == (20, 10, 30)
    assert result.p_value == pytest.approx(2 * scipy_stats.t.sf(np.sqrt(19), 19))


def test_one_task_is_mcnemars_table() -> None:
    a = np.array([[1.0]] * 12 + [[0.0]] * 8)
    b = np.array([[1.0]] * 4 + [[0.0]] * 8 + [[1.0]] * 2 + [[0.0]] * 6)
    result = paired_success(a, b)
    assert (result.only_agent, result.only_baseline) == (8, 2)
    assert (result.low, result.high) == bonett_price(8, 2, 20)
    assert (result.interval, result.test) == ("Bonett-Price", "exact McNemar test")
    assert result.p_value == mcnemar(8, 2)


@given(rates)
def test_paired_success_is_statsmodels_and_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    result = paired_success(a, b)
    assume(result.interval == "paired t over seeds")
    d = DescrStatsW((a - b).mean(axis=1))
    low, high = d.tconfint_mean()
    assert (result.low, result.high) == pytest.approx((max(low, -1), min(high, 1)), abs=1e-9)
    assert result.p_value == pytest.approx(d.ttest_mean()[1], abs=1e-9)
    known = scipy_stats.ttest_rel(a.mean(axis=1), b.mean(axis=1))
    assert result.p_value == pytest.approx(known.pvalue, abs=1e-9)


@given(rates)
def test_paired_success_laws(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    result = paired_success(a, b)
    assert -1 <= result.low <= result.difference <= result.high <= 1
    assert result.low < result.high
    assert 0 <= result.p_value <= 1
    assert result.detectable > 0
    assert result.difference == pytest.approx(a.mean() - b.mean())
    assert numbers(paired_success(b, a)) == pytest.approx(numbers(result, -1))
    for axis in (0, 1):  # neither the order of seeds nor that of tasks
        again = paired_success(np.flip(a, axis), np.flip(b, axis))
        assert numbers(again) == pytest.approx(numbers(result))
        assert (again.interval, again.test) == (result.interval, result.test)
    same = paired_success(a, a)
    assert (same.difference, same.p_value) == (0, 1)
    holed = paired_success(np.vstack([a, np.full(a.shape[1], np.nan)]), np.vstack([b, np.ones(a.shape[1])]))
    assert holed == result


def test_where_t_has_no_answer() -> None:
    alike = paired_success(np.ones((6, 5)), np.tile([[1.0, 1, 1, 1, 0]], (6, 1)))
    assert (alike.interval, alike.test) == ("pooled Bonett-Price", "exact sign test over seeds")
    assert (alike.low, alike.high) == bonett_price(6, 0, 30)
    assert alike.p_value == pytest.approx(2 / 64)
    perfect = paired_success(np.ones((20, 5)), np.ones((20, 5)))
    assert (perfect.low, perfect.high) == bonett_price(0, 0, 100)
    assert (perfect.p_value, perfect.difference) == (1, 0)
    one = paired_success(np.array([[1.0, 1, 0]]), np.array([[0.0, 1, 0]]))
    assert (one.interval, one.n_seeds, one.p_value) == ("pooled Bonett-Price", 1, 1)


def test_pairs_are_told_apart_where_the_rates_alone_could_not() -> None:
    """The same two rates: alike on every seed but one, or unrelated."""
    a = np.tile([[1.0, 0], [1, 1], [0, 0], [0, 1]], (5, 1))
    b = a.copy()
    b[0, 0] = 0
    near, far = paired_success(a, b), paired_success(a, np.flip(b, 0)[:, ::-1])
    assert near.difference == pytest.approx(far.difference)
    assert near.high - near.low < (far.high - far.low) / 2


@settings(max_examples=30)
@given(lengths)
def test_paired_bootstrap_laws(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    result = paired_bootstrap(a, b)
    assert (result.value, result.baseline_value) == pytest.approx((a.mean(), b.mean()))
    assert result.difference == pytest.approx(a.mean() - b.mean())
    if len(a) > 1:
        d = (a - b).mean(axis=1)
        assert d.min() - 1e-9 <= result.low <= result.difference <= result.high <= d.max() + 1e-9
    assert 0 < result.p_value <= 1
    assert numbers(paired_bootstrap(b, a)) == pytest.approx(numbers(result, -1), nan_ok=True)
    ones = np.ones_like(a)
    assert numbers(paired_bootstrap(a, b, ones, ones)) == pytest.approx(numbers(result), nan_ok=True)


@settings(max_examples=20)
@given(lengths)
def test_the_sign_flip_test_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    # Sums in place of means: scipy takes means that are equal but for their rounding for different ones.
    a, b = (m.sum(axis=1) for m in pair)
    assume(len(a) > 1)
    known = scipy_stats.permutation_test(
        (a, b), lambda x, y, axis: x.sum(axis=axis) - y.sum(axis=axis), permutation_type="samples",
        vectorized=True,
    )  # fmt: skip
    result = paired_bootstrap(*pair)
    assert result.test == "exact sign-flip test over seeds"
    assert result.p_value == pytest.approx(min(known.pvalue, 1.0), abs=1e-9)


def test_equal_means_are_ties_however_they_are_rounded() -> None:
    # On the six seeds the sums over three tasks differ by 0, -156, 64, 43, -64 and 102, together by -11: the
    # least size that any signs give, so that every one of the 64 ways is at least as large.
    a = [[1, 1, 1], [1, 1, 1], [1, 32, 128], [1, 7, 128], [124, 68, 128], [72, 128, 128]]
    b = [[1, 1, 1], [1, 30, 128], [1, 1, 95], [1, 2, 90], [128, 128, 128], [1, 97, 128]]
    assert paired_bootstrap(np.array(a, float), np.array(b, float)).p_value == 1


def test_many_seeds_are_flipped_at_random() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.6, 1, (30, 2)), rng.normal(0, 1, (30, 2))
    result = paired_bootstrap(a, b)
    known = scipy_stats.permutation_test(
        (a.mean(axis=1), b.mean(axis=1)), lambda x, y: x.mean() - y.mean(), permutation_type="samples", rng=2
    )
    assert result.test == "sign-flip test over seeds"
    assert result.p_value == pytest.approx(known.pvalue, abs=0.01)
    far = paired_bootstrap(a + 100, b)
    assert far.p_value == pytest.approx(1 / 10_001)


def test_paired_bootstrap_of_ratios_is_near_scipys() -> None:
    rng = np.random.default_rng(3)
    wins = [(rng.random((40, 5)) < p).astype(float) for p in (0.8, 0.6)]
    tokens = [rng.lognormal(5, 1, (40, 5)) for _ in range(2)]
    result = paired_bootstrap(*tokens, *wins)

    def difference(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, axis: int) -> np.ndarray:
        return a.mean(axis=axis) / c.mean(axis=axis) - b.mean(axis=axis) / d.mean(axis=axis)

    seeds = [m.mean(axis=1) for m in (*tokens, *wins)]
    known = scipy_stats.bootstrap(
        seeds, difference, paired=True, n_resamples=50_000, batch=10_000, rng=4, method="percentile",
        confidence_level=level_of(40),
    ).confidence_interval  # fmt: skip
    assert result.interval == "percentile bootstrap over seeds"
    assert (result.low, result.high) == pytest.approx(tuple(known), abs=0.03 * (known[1] - known[0]))


def test_where_the_bootstrap_has_no_answer() -> None:
    ten, won = np.full((4, 2), 10.0), np.ones((4, 2))
    never = paired_bootstrap(ten, ten, won, 0 * won)
    assert np.isnan(numbers(never)).all()
    assert (never.value, never.interval, never.test) == (10, "none: no success", "none")
    one = paired_bootstrap(ten[:1], 2 * ten[:1])
    assert (one.difference, one.interval, one.p_value) == (-10, "none: one seed", 1)
    alike = paired_bootstrap(ten, 2 * ten)
    assert (alike.low, alike.high, alike.interval) == (-10, -10, "no width: all equal")
    assert np.isnan(alike.detectable)
    assert alike.p_value == pytest.approx(2 / 16)
    nothing = paired_bootstrap(np.full((2, 2), np.nan), ten[:2])
    assert (nothing.n_seeds, nothing.interval) == (0, "none: no complete seed block")
    assert nothing.interval == paired_success(np.empty((0, 2)), np.empty((0, 2))).interval


def test_what_makes_no_pair_is_refused() -> None:
    for differ in (paired_success, paired_bootstrap):
        with pytest.raises(InputError, match="differ"):
            differ(np.zeros((2, 2)), np.zeros((3, 2)))
        with pytest.raises(InputError, match="matrix"):
            differ(np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match="outside"):
        paired_success(np.full((2, 2), 2.0), np.zeros((2, 2)))
    with pytest.raises(InputError, match="discordant"):
        bonett_price(3, 3, 5)
