"""Power against statsmodels', simulation and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as scipy_stats
from statsmodels.stats.power import TTestPower

from babyai_kit.errors import InputError
from babyai_kit.stats import paired_success, power, seeds_needed, smallest_detectable

seeds = st.integers(2, 300)
spreads = st.floats(0.01, 10)


@given(seeds, spreads, st.floats(0, 3))
def test_power_is_statsmodels(n: int, sd: float, effect: float) -> None:
    known = TTestPower().power(effect, n, 0.05)
    if math.isnan(known):  # statsmodels has no answer where the far tail underflows
        assert power(effect * sd, sd, n) > 0.999
        return
    assert power(effect * sd, sd, n) == pytest.approx(known, abs=1e-9)


@settings(max_examples=40)
@given(seeds, spreads, st.sampled_from([0.5, 0.8, 0.9]))
def test_what_is_detectable_is_found_with_that_chance(n: int, sd: float, chance: float) -> None:
    result = smallest_detectable(sd, n, chance)
    assert power(result, sd, n) == pytest.approx(chance, abs=1e-9)
    assert smallest_detectable(2 * sd, n, chance) == pytest.approx(2 * result)
    assert smallest_detectable(sd, n + 1, chance) < result
    if n > 2:
        assert seeds_needed(result * (1 + 1e-9), sd, chance) == n
        assert seeds_needed(result * (1 - 1e-6), sd, chance) == n + 1


def test_detectable_is_statsmodels() -> None:
    for n in (5, 20, 50, 200):
        result = smallest_detectable(1.0, n)
        assert TTestPower().power(result, n, 0.05) == pytest.approx(0.8, abs=1e-9)
        # Their solve_power stops up to 2e-6 away, by scipy's version; their power has no such limit.
        known = optimize.brentq(
            lambda d, n=n: TTestPower().power(d, n, 0.05) - 0.8, 0, 2 * result, xtol=1e-13
        )
        assert result == pytest.approx(known, abs=1e-9)


def test_power_by_simulation() -> None:
    d = np.random.default_rng(0).normal(0.5, 1, (4000, 20))
    result = (scipy_stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05).mean()
    assert power(0.5, 1, 20) == pytest.approx(result, abs=0.03)
    assert power(0, 1, 20) == pytest.approx(0.05)


def test_a_difference_reports_its_own() -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.random((20, 5)) < 0.7).astype(float), (rng.random((20, 5)) < 0.5).astype(float)
    sd = (a - b).mean(axis=1).std(ddof=1)
    assert paired_success(a, b).detectable == pytest.approx(smallest_detectable(sd, 20))


def test_no_design_no_power() -> None:
    for n, sd in ((0, 1.0), (1, 1.0), (20, 0.0)):
        assert math.isnan(power(0.1, sd, n))
        assert math.isnan(smallest_detectable(sd, n))
    for bad in (lambda: power(1, -1, 5), lambda: power(1, 1, -5), lambda: smallest_detectable(1, 5, 1.5)):
        with pytest.raises(InputError):
            bad()
    for difference, sd in ((0, 1), (1, 0), (math.nan, 1)):
        with pytest.raises(InputError, match="no number of seeds"):
            seeds_needed(difference, sd)
