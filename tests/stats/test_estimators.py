"""Estimators on arrays against figures computed by hand, published ones, scipy's, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from babyai_kit.errors import InputError
from babyai_kit.stats import Estimate, bootstrap, clustered_success, complete_blocks, wilson

matrices = array_shapes(min_dims=2, max_dims=2, max_side=8)
outcomes = arrays(float, matrices, elements=st.sampled_from([0.0, 1.0]))
rates = arrays(float, matrices, elements=st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]))
lengths = arrays(float, st.tuples(st.integers(2, 8), st.integers(1, 4)), elements=st.integers(0, 128))


def limits(result: Estimate) -> tuple[float, float]:
    return result.low, result.high


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.data())
def test_wilson_is_scipys(n: int, confidence: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    known = scipy_stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert wilson(k, n, confidence) == pytest.approx((known.low, known.high), abs=1e-12)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0, 1))
@example(49, 1.0, 1.0)
@example(3, 0.0, 0.0)
def test_wilson_laws(n: int, one: float, other: float) -> None:
    less, more = sorted((one * n, other * n))
    low, high = wilson(less, n)
    assert 0 <= low <= less / n <= high <= 1
    assert wilson(n - less, n) == pytest.approx((1 - high, 1 - low))
    low_of_more, high_of_more = wilson(more, n)
    assert low <= low_of_more + 1e-12
    assert high <= high_of_more + 1e-12


def test_no_trial_has_no_interval() -> None:
    assert np.isnan(wilson(0, 0)).all()


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, -1), (np.nan, 5)])
def test_impossible_counts(successes: float, n: int) -> None:
    with pytest.raises(InputError, match="impossible"):
        wilson(successes, n)


def test_clustered_success_by_hand() -> None:
    # Ten seeds with mean 3/4, ten with 1/2: mean 5/8, sd 1/8 * sqrt(20/19); t(.975, 19) = 2.0930.
    result = clustered_success(np.tile([[1.0, 1, 1, 0], [1, 0, 1, 0]], (10, 1)))
    half = 2.0930 * 0.125 / np.sqrt(19)
    assert result.value == 0.625
    assert limits(result) == pytest.approx((0.625 - half, 0.625 + half), abs=1e-5)
    assert (result.n_seeds, result.n_episodes, result.interval) == (20, 80, "t over seeds")
    # Three seeds with 1, 1/2, 0: t(.975, 2) = 4.30 times 1/2 / sqrt(3) reaches past both ends.
    assert limits(clustered_success(np.array([[1, 1], [1, 0], [0, 0]]))) == (0, 1)


def test_success_by_wilson_where_t_has_no_answer() -> None:
    one_task = clustered_success(np.array([[1], [1], [0], [1]]))
    assert (*limits(one_task), one_task.interval) == (*wilson(3, 4), "Wilson")
    one_seed = clustered_success(np.array([[1, 1, 0, 1, 1]]))
    assert (*limits(one_seed), one_seed.interval) == (*wilson(4, 5), "pooled Wilson")
    all_equal = clustered_success(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]]))
    assert (*limits(all_equal), all_equal.interval) == (*wilson(6, 9), "pooled Wilson")
    perfect = clustered_success(np.ones((20, 5)))
    assert (perfect.value, perfect.high) == (1, 1)
    assert perfect.low == pytest.approx(0.96300, abs=1e-5)  # 100 / (100 + 1.96^2)


def test_extreme_rates_by_hand() -> None:
    # Nineteen seeds at 1, one at 4/5: mean .99, sd .2 / sqrt(20), so its square error is .0001 and the seeds
    # are worth .0099 / .0001 = 99 trials; Wilson with t(.975, 19) = 2.0930 instead of 1.96.
    cells = np.ones((20, 5))
    cells[3, 2] = 0
    result = clustered_success(cells)
    t = 2.0930240544
    centre, half = (0.99 + t**2 / 198) / (1 + t**2 / 99), t * np.sqrt(0.0099 / 99 + t**2 / (4 * 99**2))
    half /= 1 + t**2 / 99
    assert limits(result) == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert result.interval == "Wilson over seeds"
    assert limits(clustered_success(1 - cells)) == pytest.approx((1 - result.high, 1 - result.low))


@given(st.integers(4, 12), st.data())
def test_extreme_rates_are_statsmodels_wilson_of_what_the_seeds_are_worth(n: int, data) -> None:
    cells = data.draw(arrays(float, (n, 6), elements=st.sampled_from([1.0] * 9 + [0.0])))
    result = clustered_success(cells)
    assume(result.interval == "Wilson over seeds")
    worth = result.value * (1 - result.value) / (cells.mean(axis=1).var(ddof=1) / n)
    t = scipy_stats.t.ppf(0.975, n - 1)
    confidence = 2 * scipy_stats.norm.cdf(t) - 1
    low, high = proportion_confint(result.value * worth, worth, 1 - confidence, "wilson")
    assert limits(result) == pytest.approx((low, high), abs=1e-9)


@given(rates)
def test_clustered_success_laws(cells: np.ndarray) -> None:
    result = clustered_success(cells)
    means = cells.mean(axis=1)
    assert result.value == pytest.approx(means.mean())
    assert 0 <= result.low <= result.value <= result.high <= 1
    assert result.low < result.high
    assert (result.n_seeds, result.n_episodes, result.n_errors) == (len(cells), cells.size, 0)
    if result.interval == "t over seeds":
        known = scipy_stats.ttest_1samp(means, 0).confidence_interval()
        assert limits(result) == pytest.approx((max(known.low, 0), min(known.high, 1)), abs=1e-9)
    for axis in (0, 1):  # no seed and no task comes first
        again = clustered_success(np.flip(cells, axis))
        assert (again.value, *limits(again)) == pytest.approx((result.value, *limits(result)))
        assert again.interval == result.interval
    more = clustered_success(np.where(np.arange(cells.size).reshape(cells.shape) == 0, 1.0, cells))
    assert more.value >= result.value


@given(outcomes, st.integers(2, 4))
def test_tasks_that_share_their_outcome_tell_nothing_new(cells: np.ndarray, copies: int) -> None:
    assume(cells.shape[1] > 1 and np.ptp(cells.mean(axis=1)) > 0)
    once, often = clustered_success(cells), clustered_success(np.hstack([cells] * copies))
    assert (often.value, *limits(often)) == pytest.approx((once.value, *limits(once)))


@given(outcomes, st.data())
def test_incomplete_seeds_are_left_out(cells: np.ndarray, data: st.DataObject) -> None:
    holes = data.draw(arrays(bool, cells.shape))
    holed = np.where(holes, np.nan, cells)
    whole = cells[[not any(row) for row in holes]]
    assert complete_blocks(holed).tolist() == whole.tolist()
    if len(whole):
        assert clustered_success(holed) == clustered_success(whole)
    else:
        for result in (clustered_success(holed), bootstrap(holed)):
            assert np.isnan([result.value, *limits(result)]).all()
            assert (result.n_seeds, result.n_episodes) == (0, 0)
            assert result.interval == "none: no complete seed block"


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 2, 2)])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    for estimator in (complete_blocks, clustered_success, bootstrap):
        with pytest.raises(InputError, match="matrix"):
            estimator(np.zeros(shape))


def test_what_makes_no_rate_or_ratio_is_refused() -> None:
    for bad in (-0.1, 1.1):
        with pytest.raises(InputError, match="outside"):
            clustered_success(np.array([[0.0, bad]]))
    with pytest.raises(InputError, match="one shape"):
        bootstrap(np.zeros((2, 2)), np.zeros((2, 3)))


def level_of(n: int) -> float:
    """What a plain bootstrap must be asked for to reach as far."""
    reach = np.sqrt(n / (n - 1)) * scipy_stats.t.ppf(0.975, n - 1)
    return 1 - 2 * scipy_stats.norm.cdf(-reach)


def test_bootstrap_of_symmetric_outcomes_by_hand() -> None:
    # The quantiles of 20 seeds are at 2.0930 * sqrt(20/19) = 2.1474 or .0159. A resample's sum is
    # Binomial(20, 1/2): P(<= 4) = .006, P(<= 5) = .021. No bias, no acceleration.
    result = bootstrap(np.tile([[0.0], [1.0]], (10, 1)))
    assert (result.value, *limits(result)) == pytest.approx((0.5, 0.25, 0.75))
    assert (result.n_seeds, result.n_episodes, result.interval) == (20, 20, "BCa bootstrap over seeds")


def test_bootstrap_of_skewed_outcomes_by_hand() -> None:
    # Binomial(20, 1/10) is below 2 with .534, so the bias is .086; the acceleration 1.44 / (6 * 1.8^1.5) is
    # .099; the levels become .052 and .998. P(0) = .122; P(<= 6) = .9976, P(<= 7) = .9996.
    result = bootstrap(np.array([[1.0]] * 2 + [[0.0]] * 18))
    assert (result.value, *limits(result)) == pytest.approx((0.1, 0.0, 0.35))


@pytest.mark.parametrize("spread", [0.3, 1.0, 1.5])
def test_bootstrap_is_near_scipys(spread: float) -> None:
    cells = np.random.default_rng(3).lognormal(3, spread, (20, 5))
    result = bootstrap(cells)
    known = scipy_stats.bootstrap(
        (cells.mean(axis=1),), np.mean, n_resamples=50_000, rng=2, confidence_level=level_of(20)
    )
    near(result, known.confidence_interval)
    assert result.value == pytest.approx(cells.mean())


def test_bootstrap_of_a_ratio_is_near_scipys() -> None:
    rng = np.random.default_rng(3)
    success = (rng.random((40, 5)) < 0.7).astype(float)
    tokens = rng.lognormal(5, 1, (40, 5))
    result = bootstrap(tokens, success)
    means = (tokens.mean(axis=1), success.mean(axis=1))

    def ratio(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return a.mean(axis=axis) / b.mean(axis=axis)

    known = scipy_stats.bootstrap(
        means, ratio, paired=True, n_resamples=50_000, batch=10_000, rng=4, confidence_level=level_of(40)
    )
    near(result, known.confidence_interval)
    assert result.value == pytest.approx(tokens.sum() / success.sum())


def near(result: Estimate, known: tuple[float, float]) -> None:
    """Both are random: within three hundredths of the width."""
    assert result.interval == "BCa bootstrap over seeds"
    assert limits(result) == pytest.approx(tuple(known), abs=0.03 * (known[1] - known[0]))


def test_the_draws_are_the_same_each_time() -> None:
    cells = np.random.default_rng(6).random((9, 2))
    first = bootstrap(cells)
    for seeds in range(3, 9):  # others in between: it is no cache that remembers
        bootstrap(cells[:seeds])
    assert bootstrap(cells) == first


@settings(max_examples=50)
@given(lengths, st.sampled_from([0.25, 0.5, 4.0]), st.integers(0, 1000))
def test_bootstrap_laws(cells: np.ndarray, scale: float, shift: int) -> None:
    result = bootstrap(cells)
    means = cells.mean(axis=1)
    assert result.value == pytest.approx(means.mean())
    assert means.min() - 1e-9 <= result.low <= result.value <= result.high <= means.max() + 1e-9
    assert (result.low == result.high) == (result.interval == "no width: all equal") == (np.ptp(means) < 1e-9)
    assert bootstrap(cells) == result  # the generator is fixed
    for other, image in (  # another unit, another origin, the same tasks in another order, a task twice
        (cells * scale, lambda x: x * scale),
        (cells + shift, lambda x: x + shift),
        (cells[:, ::-1], lambda x: x),
        (np.hstack([cells, cells]), lambda x: x),
    ):
        again = bootstrap(other)
        assert (again.value, *limits(again)) == pytest.approx([*map(image, (result.value, *limits(result)))])


@settings(max_examples=50)
@given(lengths, st.data())
def test_ratio_laws(cells: np.ndarray, data: st.DataObject) -> None:
    success = data.draw(arrays(float, cells.shape, elements=st.sampled_from([0.0, 1.0])))
    result = bootstrap(cells, success)
    if not success.any():
        assert np.isnan([result.value, *limits(result)]).all()
        assert result.interval == "none: no success"
        return
    assert result.value == pytest.approx(cells.sum() / success.sum())
    if result.interval != "none: one seed":
        assert result.low <= result.value <= result.high
    positive = bootstrap(cells + 1, np.ones_like(cells))
    assert positive == bootstrap(cells + 1)
    given_success = bootstrap(cells * success, success)
    if success.any(axis=1).sum() == 1:
        assert given_success.interval == "none: one seed"
        return
    assert given_success.low >= cells[success == 1].min() - 1e-9
    assert given_success.high <= cells[success == 1].max() + 1e-9


def test_a_ratio_that_a_resample_cannot_have_has_no_upper_limit() -> None:
    # One success in four seeds: a resample holds it 0 times with .32 (infinite), 4 times with .004, which is
    # further in than the quantile of four seeds: 8.
    result = bootstrap(np.full((4, 1), 8.0), np.array([[1.0], [0], [0], [0]]))
    assert (result.value, *limits(result)) == pytest.approx((32, 8, np.inf))
    assert result.interval == "percentile bootstrap over seeds"


def test_bootstrap_of_one_seed_or_of_equal_ones() -> None:
    one = bootstrap(np.array([[3.0, 5.0]]))
    assert (one.value, one.n_seeds, one.interval) == (4, 1, "none: one seed")
    assert np.isnan(limits(one)).all()
    equal = bootstrap(np.tile([[7.0, 9.0], [9.0, 7.0]], (5, 1)))
    assert (equal.value, *limits(equal), equal.interval) == (8, 8, 8, "no width: all equal")
