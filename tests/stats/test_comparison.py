"""`compare`: who is paired with whom, on what, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from babyai_kit import compare
from babyai_kit.environment import TASKS
from babyai_kit.errors import InputError, NoSharedSeedsError, UnknownBaselineError
from babyai_kit.stats import (
    ALL_TASKS,
    MEASURES,
    bonett_price,
    holm,
    paired_bootstrap,
    paired_success,
    summarize,
)
from tests.support.episode_tables import ERROR, MISSING, block, table

pytestmark = pytest.mark.filterwarnings("error")

FIGURES = [
    "value", "baseline_value", "difference", "low", "high", "interval", "p_value", "p_holm", "test",
    "detectable", "n_seeds", "n_pairs", "n_left_out", "n_errors", "only_agent", "only_baseline",
    "n_discordant", "worst", "best",
]  # fmt: skip
ends = arrays(float, (5, 3), elements=st.sampled_from([0.0, 1.0, 1.0, ERROR, MISSING]))


def two(agent: Any, baseline: Any, **fields: Any) -> pd.DataFrame:
    return pd.concat(
        [
            block(np.asarray(agent, float), variant="history", **fields),
            block(np.asarray(baseline, float), **fields),
        ]
    )


def row(result: pd.DataFrame, measure: str = "success", task: str = ALL_TASKS) -> pd.Series:
    (one,) = result[(result["measure"] == measure) & (result["task"] == task)].to_dict("records")
    return pd.Series(one)


def drawn(seed: int, rate: float, shape: tuple[int, int] = (8, 5)) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < rate).astype(float)


def test_the_table_has_the_documented_rows_and_columns() -> None:
    rows = pd.concat([two(drawn(0, 0.8), drawn(1, 0.5)), block(drawn(2, 0.6), variant="mine")])
    result = compare(rows)
    assert list(result.columns) == ["measure", "task", "variant", "baseline", *FIGURES]
    expected = [(m, t, v) for m in MEASURES for t in (ALL_TASKS, *sorted(TASKS)) for v in ("history", "mine")]
    assert list(zip(result["measure"], result["task"], result["variant"], strict=True)) == expected
    assert set(result["baseline"]) == {"baseline"}
    some = compare(rows, measures=["cost_usd", "success"])
    assert some["measure"].unique().tolist() == ["cost_usd", "success"]
    pd.testing.assert_frame_equal(compare(rows.sample(frac=1, random_state=0)), result)


def test_the_figures_are_the_estimators() -> None:
    a, b = drawn(0, 0.8), drawn(1, 0.5)
    result = compare(two(a, b))
    known = paired_success(a, b)
    assert {name: row(result)[name] for name in vars(known)} == pytest.approx(vars(known))
    lengths = paired_bootstrap(np.where(a, 10.0, 64.0), np.where(b, 10.0, 64.0))
    steps = row(result, "episode_length")
    assert {name: steps[name] for name in vars(lengths)} == pytest.approx(vars(lengths), nan_ok=True)
    goto = row(result, task="goto")
    won, lost = ((a > b)[:, 0].sum(), (a < b)[:, 0].sum())
    assert (goto["low"], goto["high"]) == bonett_price(won, lost, 8)
    assert (goto["n_discordant"], goto["n_seeds"], goto["n_pairs"]) == (won + lost, 8, 8)
    assert steps[["only_agent", "worst"]].isna().all()


def test_values_are_the_summary_where_nothing_is_missing() -> None:
    rows = two(drawn(0, 0.8), drawn(1, 0.5))
    rows["output_tokens"] = np.arange(len(rows)) * 3.0 + 1
    alone = summarize(rows).set_index("variant")
    result = compare(rows)
    for measure in MEASURES:
        one = row(result, measure)
        assert one["value"] == pytest.approx(alone.loc["history", measure])
        assert one["baseline_value"] == pytest.approx(alone.loc["baseline", measure])
        assert one["difference"] == pytest.approx(one["value"] - one["baseline_value"])


def test_only_seeds_that_both_finished_on_every_task_count() -> None:
    a = [[1, 1], [1, 0], [1, ERROR], [0, 1], [1, 1]]
    b = [[0, 1], [1, 0], [1, 1], [MISSING, 1], [1, 0]]
    result = row(compare(two(a, b)))
    assert (result["n_seeds"], result["n_pairs"], result["n_left_out"], result["n_errors"]) == (3, 6, 2, 1)
    assert (result["value"], result["baseline_value"]) == pytest.approx((5 / 6, 3 / 6))
    # Of 10 cells the agent surely won 7 and the baseline 6; each has one that is not known.
    assert (result["worst"], result["best"]) == pytest.approx((7 / 10 - 7 / 10, 8 / 10 - 6 / 10))
    goto = row(compare(two(a, b)), task="goto")
    assert (goto["n_seeds"], goto["n_left_out"], goto["n_errors"]) == (4, 1, 0)


@settings(max_examples=30)
@given(ends, ends, st.integers(0, 14), st.integers(0, 1))
def test_an_error_more_only_widens_the_bounds(a: np.ndarray, b: np.ndarray, at: int, which: int) -> None:
    a[0, 0] = b[0, 0] = 1  # both have a row
    before = row(compare(two(a, b), measures=["success"]))
    assert before["worst"] <= before["best"]
    if before["n_seeds"]:
        assert -1 <= before["low"] <= before["difference"] <= before["high"] <= 1
    if before["n_left_out"] == before["n_errors"] == 0:
        assert before["worst"] == pytest.approx(before["difference"]) == before["best"]
    (a, b)[which].flat[at] = ERROR
    after = row(compare(two(a, b), measures=["success"]))
    assert after["worst"] <= before["worst"] + 1e-12
    assert after["best"] >= before["best"] - 1e-12


def test_repeats_are_averaged_within_their_seed_first() -> None:
    rows = two(drawn(0, 0.8), drawn(1, 0.5))
    often = pd.concat([rows, *(rows.assign(repeat=r) for r in (1, 2))])
    names = ["value", "difference", "low", "high", "p_value", "n_seeds", "only_agent"]
    pd.testing.assert_frame_equal(
        compare(often, measures=["success"])[names], compare(rows, measures=["success"])[names]
    )
    unlike = pd.concat([rows, block(drawn(5, 0.5), variant="history", repeat=1)])
    goto = row(compare(unlike), task="goto")
    assert (goto["interval"], goto["test"]) == ("paired t over seeds", "paired t test over seeds")


def test_two_models_under_two_variants() -> None:
    rows = pd.concat(
        [block(drawn(0, 0.5), model="base"), block(drawn(1, 0.8), variant="tuned", model="ft:base:x")]
    )
    result = compare(rows)
    assert list(result.columns[:5]) == ["measure", "task", "variant", "model", "baseline"]
    assert (result["model"] == "ft:base:x").all()
    assert (result["baseline"] == "baseline, base").all()
    assert row(result)["difference"] == pytest.approx(drawn(1, 0.8).mean() - drawn(0, 0.5).mean())


def test_two_models_under_one_variant() -> None:
    rows = pd.concat([block(drawn(i, 0.6), model=model) for i, model in enumerate(("small", "large"))])
    with pytest.raises(UnknownBaselineError, match="2 agents; choose one of: variant=baseline, model=large"):
        compare(rows)
    result = compare(rows, {"variant": "baseline", "model": "small"})
    assert set(result["model"]) == {"large"}
    assert set(compare(rows, {"model": "large"})["model"]) == {"small"}


def test_runs_as_agents() -> None:
    cold, hot = drawn(0, 0.9), drawn(1, 0.4)
    rows = pd.concat([block(cold, run="cold"), block(hot, run="hot")])
    result = compare(rows, "cold", by=("run",))
    assert (result["run"] == "hot").all()
    pd.testing.assert_frame_equal(compare(rows, "cold", by="run"), result)
    assert row(result)["difference"] == pytest.approx(hot.mean() - cold.mean())


def test_levels_are_compared_each_by_itself() -> None:
    parts = [two(drawn(i, 0.8), drawn(i + 9, 0.5), num_dists=n) for i, n in enumerate((0, 8))]
    result = compare(pd.concat(parts), measures=["success"])
    assert list(result["num_dists"].unique()) == [0, 8]
    for part, n in zip(parts, (0, 8), strict=True):
        alone = compare(part, measures=["success"])
        level = result[result["num_dists"] == n].reset_index(drop=True)
        pd.testing.assert_frame_equal(level[alone.columns], alone)
    without = pd.concat([parts[0], block(drawn(3, 0.5), variant="history", num_dists=8)])
    with pytest.raises(UnknownBaselineError, match="no agent"):
        compare(without)


def test_holms_family_is_the_agents_of_one_measure_and_task() -> None:
    rates = {"a": 0.9, "b": 0.8, "c": 0.2}
    rows = pd.concat(
        [block(drawn(0, 0.4)), *(block(drawn(i, r), variant=v) for i, (v, r) in enumerate(rates.items(), 1))]
    )
    result = compare(rows)
    for _, family in result.groupby(["measure", "task"]):
        assert len(family) == 3
        assert family["p_holm"].tolist() == pytest.approx(
            holm(family["p_value"].tolist()).tolist(), nan_ok=True
        )
    alone = compare(rows[rows["variant"].isin(["a", "baseline"])])
    assert alone["p_holm"].equals(alone["p_value"])


def test_what_is_not_known_is_said() -> None:
    rows = two(drawn(0, 0.8), drawn(1, 0.5))
    unpriced = rows.assign(cost_usd=np.where(rows["variant"] == "history", np.nan, rows["cost_usd"]))
    result = compare(unpriced)
    for measure in ("cost_usd", "cost_per_success"):
        assert row(result, measure)["interval"] == "none: not known"
        assert np.isnan(row(result, measure)["p_holm"])
    assert row(result)["n_seeds"] == 8
    broken = compare(two(np.full((3, 2), ERROR), np.ones((3, 2))))
    assert row(broken)["interval"] == "none: no finished episode"
    assert (row(broken)["worst"], row(broken)["best"], row(broken)["n_errors"]) == (-1, 0, 6)
    never = compare(two(np.zeros((3, 2)), np.ones((3, 2))))
    assert row(never, "tokens_per_success")["interval"] == "none: no success"
    apart = compare(two([[1, MISSING], [1, 1]], [[1, 1], [MISSING, 1]]))
    assert row(apart)["interval"] == "none: no complete seed block"
    assert row(apart)["n_left_out"] == 2
    assert row(compare(two([[1, 1]], [[0, 1]])))["n_seeds"] == 1


def test_one_agent_alone_has_no_comparison() -> None:
    result = compare(block(np.ones((3, 2))))
    assert len(result) == 0
    assert list(result.columns) == ["measure", "task", "variant", "baseline", *FIGURES]


def test_bad_questions() -> None:
    rows = two(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(
        UnknownBaselineError, match="no agent; choose one of: variant=baseline; variant=history"
    ):
        compare(rows, "nobody")
    with pytest.raises(UnknownBaselineError, match="name it by variant"):
        compare(rows, {"colour": "red"})
    with pytest.raises(UnknownBaselineError, match="no agent"):
        compare(table())
    with pytest.raises(NoSharedSeedsError, match="history and baseline share no seed"):
        compare(pd.concat([rows.assign(seed=rows["seed"] + 100 * (rows["variant"] == "history"))]))
    with pytest.raises(InputError, match="unknown measure 'luck'"):
        compare(rows, measures=["luck"])
    with pytest.raises(InputError, match="lacks the columns"):
        compare(rows.drop(columns="success"))
    with pytest.raises(InputError, match="lacks the columns"):
        compare(rows.drop(columns="num_dists"))
    with pytest.raises(InputError, match="must be above 0"):
        compare(rows.assign(shortest_length=0))


def test_the_table_is_left_as_it_was() -> None:
    rows = two(drawn(0, 0.8), drawn(1, 0.5))
    kept = rows.copy()
    compare(rows)
    pd.testing.assert_frame_equal(rows, kept)
