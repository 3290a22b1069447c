"""Curves against shares counted by hand, the success rate's own figures, and their laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from babyai_kit.errors import InputError
from babyai_kit.stats import ALL_TASKS, estimates, return_profiles, success_by_step
from tests.support.episode_tables import BROKEN, ERROR, block, table
from tests.support.figures import episodes

pytestmark = pytest.mark.filterwarnings("error")

COLUMNS = ["threshold", "value", "low", "high", "interval", "n_seeds", "n_episodes", "n_errors"]


def of(curves: pd.DataFrame, task: str = ALL_TASKS) -> pd.DataFrame:
    return curves[curves["task"] == task].set_index("threshold")


def test_shares_by_hand() -> None:
    rows = table(
        {"seed": 0, "episode_return": 0.9, "episode_length": 3},
        {"seed": 1, "episode_return": 0.5, "episode_length": 5},
        {"seed": 2, "success": False, "episode_return": 0.0, "episode_length": 8},
        {"seed": 3, "episode_return": 0.5, "episode_length": 8},
        {"seed": 4} | BROKEN,
    )
    profile = of(return_profiles(rows, thresholds=[0, 0.5, 0.8, 0.9]))
    assert profile["value"].tolist() == [0.75, 0.25, 0.25, 0]
    steps = of(success_by_step(rows))
    assert steps["value"].tolist() == [0, 0, 0, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75]
    for result in (profile, steps):
        assert set(result["n_seeds"]) == set(result["n_episodes"]) == {4}
        assert set(result["n_errors"]) == {1}


def test_repeats_are_averaged_and_blocks_are_whole() -> None:
    rows = [{"seed": 0, "repeat": r, "episode_return": 0.5} for r in range(3)]
    rows += [{"seed": 1, "success": False, "episode_return": 0.0}]
    assert of(return_profiles(table(*rows), thresholds=[0]))["value"].tolist() == [0.5]
    holed = block([[1, 1], [1, 0], [0, ERROR]])
    curves = return_profiles(holed, thresholds=[0])
    assert of(curves)[["value", "n_seeds", "n_episodes", "n_errors"]].iloc[0].tolist() == [0.75, 2, 4, 1]
    assert of(curves, "goto")["value"].tolist() == [pytest.approx(2 / 3)]


def test_success_by_step_ends_at_the_success_rate() -> None:
    rows = episodes(error=0.1)
    curves = success_by_step(rows)
    last = curves.groupby(["variant", "task"]).tail(1).set_index(["variant", "task"])
    known = [
        estimates(rows, "success").assign(task=ALL_TASKS),
        estimates(rows, "success", ("variant", "task")),
    ]
    for one in pd.concat(known).to_dict("records"):
        result = last.loc[one["variant"], one["task"]]
        assert result[["value", "low", "high"]].tolist() == pytest.approx(
            [one[k] for k in ("value", "low", "high")]
        )
        assert result["interval"] == one["interval"]
        assert result["n_episodes"] == one["n_episodes"]


@pytest.mark.parametrize("curve", [return_profiles, success_by_step])
def test_curves_go_one_way_inside_their_bands(curve) -> None:
    curves = curve(episodes())
    assert list(curves.columns) == ["variant", "task", *COLUMNS]
    sign = -1 if curve is return_profiles else 1
    for _, one in curves.groupby(["variant", "task"]):
        assert (sign * np.diff(one["value"]) >= 0).all()
        assert ((one["low"] <= one["value"]) & (one["value"] <= one["high"])).all()
        assert one["low"].min() >= 0
        assert one["high"].max() <= 1
    pd.testing.assert_frame_equal(curve(episodes().sample(frac=1, random_state=3)), curves)


def test_bands_of_seeds_alike_and_of_one() -> None:
    alike = of(return_profiles(block(np.ones((4, 2))), thresholds=[0.5]))
    assert alike[["value", "low", "high"]].iloc[0].tolist() == [1, 1, 1]
    one = of(return_profiles(block([[1, 0]]), thresholds=[0.5]))
    assert one["interval"].tolist() == ["none: one seed"]
    assert one["low"].isna().all()
    none = of(return_profiles(block([[1, ERROR]]), thresholds=[0.5]))
    assert none["interval"].tolist() == ["none: no complete seed block"]
    assert none["value"].isna().all()
    assert len(return_profiles(table())) == len(success_by_step(table())) == 0


def test_bad_questions() -> None:
    for curve in (return_profiles, success_by_step):
        with pytest.raises(InputError, match="curve of its own"):
            curve(block([[1]]), by=("variant", "task"))
        with pytest.raises(InputError, match="lacks the columns"):
            curve(block([[1]]).drop(columns="success"))
    for bad in ([], [np.nan], [[0.5]]):
        with pytest.raises(InputError, match="thresholds"):
            return_profiles(block([[1]]), thresholds=bad)
