"""The Pareto front: nobody on it is beaten, everybody off it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.stats import estimates, on_front, trade_off
from tests.support.episode_tables import block, table

pytestmark = pytest.mark.filterwarnings("error")

figure = st.one_of(st.integers(0, 4).map(float), st.just(np.nan))
points = st.lists(st.tuples(figure, figure), max_size=12)


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]


@given(points)
def test_on_the_front_is_who_is_dominated_by_nobody(places: list[tuple[float, float]]) -> None:
    takes, gives = (np.array([place[i] for place in places], dtype=float) for i in (0, 1))
    front = on_front(takes, gives)
    for place, is_on in zip(places, front, strict=True):
        is_known = not np.isnan(place).any()
        assert is_on == (is_known and not any(dominates(other, place) for other in places))
    assert front.any() == any(not np.isnan(place).any() for place in places)


def test_the_table_has_both_estimates_and_the_front() -> None:
    rows = {  # successes of four episodes, tokens of each
        "frugal": ([1, 0, 0, 0], 50),
        "good": ([1, 1, 1, 0], 500),
        "worse": ([1, 1, 0, 0], 500),
        "costly": ([1, 1, 1, 0], 900),
        "untold": ([1, 1, 1, 1], None),
    }
    episodes = pd.concat(
        block([[value] for value in successes], variant=name, input_tokens=tokens, output_tokens=1)
        for name, (successes, tokens) in rows.items()
    )
    result = trade_off(episodes, "tokens").set_index("variant")
    assert result["on_front"].to_dict() == {
        "frugal": True,
        "good": True,
        "worse": False,
        "costly": False,
        "untold": False,
    }
    assert result.loc["good", "value"] == 501
    for measure, prefix in (("tokens", ""), ("success", "success_")):
        alone = estimates(episodes, measure).set_index("variant")
        for field in ("low", "high", "interval", "n_seeds", "n_episodes"):
            pd.testing.assert_series_equal(result[prefix + field], alone[field], check_names=False)


def test_a_table_without_episodes_has_no_front() -> None:
    assert trade_off(table(), "cost_usd").empty
