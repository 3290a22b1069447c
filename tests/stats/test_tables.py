"""Estimators on the `episodes` table: who is averaged with whom, what is left out, and what is said of it."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from babyai_kit.environment import TASKS
from babyai_kit.errors import InputError
from babyai_kit.stats import (
    ALL_TASKS,
    MEASURES,
    SETTINGS,
    bootstrap,
    clustered_success,
    compare,
    estimate,
    estimates,
    groups,
    measure_of,
    success_bounds,
    summarize,
    wilson,
)
from tests.support.episode_tables import BROKEN, ERROR, MISSING, block, outcome, table

pytestmark = pytest.mark.filterwarnings("error")

LIMITS = ["value", "low", "high"]

places = st.tuples(st.integers(0, 4), st.sampled_from(TASKS[:3]), st.integers(0, 1))
runs = st.dictionaries(places, st.sampled_from([0.0, 1.0, 1.0, ERROR]), min_size=1, max_size=30)
"""Seed, task and repeat of each episode, and how it ended."""


def table_of(ends: dict[tuple[int, str, int], float], **fields: Any) -> pd.DataFrame:
    return table(
        *(
            {"seed": seed, "task": task, "repeat": repeat} | outcome(end) | fields
            for (seed, task, repeat), end in ends.items()
        )
    )


def rate(ends: dict[tuple[int, str, int], float], error: float | None, missing: float | None) -> float:
    """The success rate in plain words; errors and missing cells count as given, None: not at all."""
    of_cell = defaultdict(list)
    for (seed, task, _), end in ends.items():
        if end != ERROR or error is not None:
            of_cell[seed, task].append(error if end == ERROR else end)
    tasks = {task for _, task, _ in ends}
    of_seed = []
    for seed in {seed for seed, _, _ in ends}:
        cells = [fmean(of_cell[seed, t]) if of_cell[seed, t] else missing for t in tasks]
        if None not in cells:
            of_seed.append(fmean(cells))
    return fmean(of_seed) if of_seed else np.nan


@settings(max_examples=150)
@given(runs)
def test_the_rate_and_its_bounds(ends: dict[tuple[int, str, int], float]) -> None:
    result = estimates(table_of(ends), "success").iloc[0]
    assert result["value"] == pytest.approx(rate(ends, None, None), nan_ok=True)
    assert result["worst"] == pytest.approx(rate(ends, 0.0, 0.0))
    assert result["best"] == pytest.approx(rate(ends, 1.0, 1.0))
    assert 0 <= result["worst"] <= result["best"] <= 1
    assert result["n_errors"] == list(ends.values()).count(ERROR)
    seeds = {seed for seed, _, _ in ends}
    tasks = {task for _, task, _ in ends}
    finished = {(seed, task) for (seed, task, _), end in ends.items() if end != ERROR}
    whole = {seed for seed in seeds if all((seed, task) in finished for task in tasks)}
    assert result["n_seeds"] == len(whole)
    assert result["n_episodes"] == sum(end != ERROR and at[0] in whole for at, end in ends.items())
    if whole:
        assert 0 <= result["low"] <= result["value"] <= result["high"] <= 1
    else:
        assert result[LIMITS].isna().all()
        assert result["interval"] in ("none: no complete seed block", "none: no finished episode")
    if len(finished) == len(seeds) * len(tasks) and ERROR not in ends.values():
        assert result["worst"] == result["value"] == result["best"]


def test_without_errors_the_bounds_are_the_rate_to_the_last_bit() -> None:
    """Else a figure marks a bound that is none."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        result = estimates(block((rng.random((20, 5)) < 0.85).astype(float)), "success").iloc[0]
        assert result["worst"] == result["value"] == result["best"]


@settings(max_examples=50)
@given(runs, st.randoms(use_true_random=False))
def test_neither_order_nor_names_matter(ends: dict[tuple[int, str, int], float], random) -> None:
    known = estimates(table_of(ends), "success").iloc[0]
    rows = table_of(ends).sample(frac=1, random_state=random.randrange(100))
    seeds, tasks, repeats = random.sample(range(100), 5), random.sample(["x", "y", "z"], 3), [7, 3]
    renamed = {(seeds[s], tasks[TASKS.index(t)], repeats[r]): end for (s, t, r), end in ends.items()}
    for other in (rows, table_of(renamed)):
        result = estimates(other, "success").iloc[0]
        assert result[[*LIMITS, "worst", "best"]].tolist() == pytest.approx(
            known[[*LIMITS, "worst", "best"]].tolist(), nan_ok=True
        )
        assert result[["n_seeds", "n_episodes", "interval"]].equals(
            known[["n_seeds", "n_episodes", "interval"]]
        )


@settings(max_examples=30)
@given(runs, runs)
def test_errors_change_no_figure(
    ends: dict[tuple[int, str, int], float], others: dict[tuple[int, str, int], float]
) -> None:
    """Not even of the tokens and steps that were spent on them."""
    rest = {at: end for at, end in ends.items() if end != ERROR}
    assume({task for _, task, _ in rest} == {task for _, task, _ in ends | others})
    beside = table_of(others, variant="history")
    wasted = {"input_tokens": 10**9, "cost_usd": 1e6, "episode_length": 1}
    broken = pd.concat([table_of(ends), beside])
    error = (broken["status"] == "error").to_numpy()
    for column, value in wasted.items():
        broken.loc[error, column] = value
    result, known = (summarize(rows).iloc[0] for rows in (broken, pd.concat([table_of(rest), beside])))
    same = [c for c in result.index if c not in ("n_errors", "success_worst", "success_best")]
    assert result["variant"] == known["variant"] == "baseline"
    pd.testing.assert_series_equal(result[same], known[same], check_names=False)
    assert (result["n_errors"], known["n_errors"]) == (len(ends) - len(rest), 0)


def test_a_better_outcome_makes_no_rate_lower() -> None:
    rng = np.random.default_rng(5)
    cells = rng.choice([0.0, 1.0, ERROR], (6, 5), p=[0.4, 0.4, 0.2])
    before = summarize(block(cells), by=("variant", "task"))
    cells[cells == 0] = rng.choice([0.0, 1.0], (cells == 0).sum())
    after = summarize(block(cells), by=("variant", "task"))
    for column in ("success", "success_low", "success_high", "success_worst", "success_best"):
        assert (after[column] >= before[column] - 1e-12).all()
    assert (after["success"] > before["success"]).any()


def test_repeats_are_averaged_within_their_seed_first() -> None:
    rows = [{"seed": 0, "repeat": r, "success": True} for r in range(3)] + [{"seed": 1, "success": False}]
    result = estimates(table(*rows), "success").iloc[0]
    assert (result["value"], result["n_seeds"], result["n_episodes"]) == (0.5, 2, 4)
    assert (result["low"], result["high"]) == wilson(1, 2)  # four episodes of two seeds count as two
    lengths = [{"seed": 0, "repeat": r, "episode_length": 10} for r in range(3)]
    result = estimates(table(*lengths, {"seed": 1, "episode_length": 50}), "episode_length").iloc[0]
    assert result["value"] == 30


def test_two_runs_of_one_agent_are_repeats() -> None:
    cells = [[1, 0], [1, 1], [0, 1]]
    both = pd.concat([block(cells, run="a"), block(cells, run="b")])
    assert estimates(both, "success")[LIMITS].equals(estimates(block(cells), "success")[LIMITS])
    assert estimates(both, "success", by=("run",))["run"].tolist() == ["a", "b"]


def test_the_table_is_given_to_the_estimators_as_it_is() -> None:
    cells = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 0], [0, 0, 1, MISSING, 0], [1, 0, 0, ERROR, 1]])
    rows = block(cells)
    result = estimates(rows, "success").iloc[0]
    known = clustered_success(cells[:2])
    assert result[LIMITS].tolist() == [known.value, known.low, known.high]
    assert (result["n_seeds"], result["n_episodes"], result["n_errors"]) == (2, 10, 1)
    assert result["interval"] == "t over seeds"
    # 10 of 20 cells hold a success, two might.
    assert (result["worst"], result["best"]) == pytest.approx((10 / 20, 12 / 20))
    per_task = estimates(rows, "success", by=("variant", "task")).set_index("task")
    assert per_task.loc["goto", LIMITS].tolist() == [0.75, *wilson(3, 4)]
    assert per_task.loc["putnext", "n_seeds"] + per_task.loc["open", "n_seeds"] == 6
    assert per_task["n_errors"].sum() == 1


def test_summary_by_hand() -> None:
    rows = [
        {"seed": 0, "episode_return": 0.9, "episode_length": 10, "input_tokens": 100},
        {"seed": 1, "success": False, "episode_return": 0.0, "episode_length": 64, "input_tokens": 300},
        {"seed": 2, "episode_return": 0.6, "episode_length": 30, "input_tokens": 200},
        {"seed": 3} | BROKEN,
    ]
    result = summarize(table(*rows)).iloc[0]
    assert (result["n_seeds"], result["n_episodes"], result["n_errors"]) == (3, 3, 1)
    assert result[["success", "success_low", "success_high"]].tolist() == [2 / 3, *wilson(2, 3)]
    assert result[["success_worst", "success_best"]].tolist() == [0.5, 0.75]
    by_hand = {
        "episode_return": 0.5, "episode_length": 104 / 3, "length_given_success": 20, "input_tokens": 200,
        "output_tokens": 10, "tokens": 210, "cost_usd": 0.001, "tokens_per_success": 315,
        "cost_per_success": 0.0015,
    }  # fmt: skip
    assert result[list(by_hand)].tolist() == pytest.approx(list(by_hand.values()))
    length = bootstrap(np.array([[10.0], [64.0], [30.0]]))
    assert result[["episode_length_low", "episode_length_high"]].tolist() == [length.low, length.high]


def test_the_summary_has_the_documented_columns() -> None:
    result = summarize(pd.concat([block([[1]], variant=v) for v in ("b", "a")]))
    expected = ["variant", "n_seeds", "n_episodes", "n_errors"]
    for measure in MEASURES:
        expected += [measure + suffix for suffix in ("", "_low", "_high", "_interval", "_seeds")]
    assert list(result.columns) == [*expected, "success_worst", "success_best"]
    assert result["variant"].tolist() == ["a", "b"]
    each = estimates(block([[1]]), "success")
    counts = ["n_seeds", "n_episodes", "n_errors"]
    assert list(each.columns) == ["variant", *LIMITS, *counts, "interval", "worst", "best"]
    assert estimates(block([[1]]), "cost_usd")[["worst", "best"]].isna().all(axis=None)
    assert list(estimates(block([[1]]), "success", by="task").columns) == ["task", *each.columns[1:]]


@pytest.mark.parametrize(
    ("column", "unknown"),
    [
        ("input_tokens", {"input_tokens", "tokens", "tokens_per_success"}),
        ("output_tokens", {"output_tokens", "tokens", "tokens_per_success"}),
        ("cost_usd", {"cost_usd", "cost_per_success"}),
    ],
)
def test_what_was_not_reported_is_not_known(column: str, unknown: set[str]) -> None:
    cells = np.ones((4, 5))
    nowhere = summarize(block(cells, **{column: None})).iloc[0]
    rows = block(cells)
    rows.loc[(rows["seed"] == 3) & (rows["task"] == "open"), column] = np.nan
    in_part = summarize(rows).iloc[0]
    for measure in MEASURES:
        assert np.isnan(nowhere[measure]) == (measure in unknown)
        assert (nowhere[f"{measure}_interval"] == "none: not known") == (measure in unknown)
        assert nowhere[f"{measure}_seeds"] == (0 if measure in unknown else 4)
        assert in_part[f"{measure}_seeds"] == (3 if measure in unknown else 4)
    assert nowhere["n_seeds"] == in_part["n_seeds"] == 4


def test_a_model_of_this_machine_costs_nothing_beside_one_whose_cost_is_known() -> None:
    outcomes = [[1.0, 0.0]] * 3
    free = block(outcomes, model="ft:offline-player::act:1", cost_usd=None)
    paid = block(outcomes, model="hosted", cost_usd=0.002)
    differences = compare(
        pd.concat([free, paid]), {"variant": "baseline", "model": "ft:offline-player::act:1"}
    ).set_index(["measure", "task"])
    for name, value in (("cost_usd", 0.002), ("cost_per_success", 0.004)):
        row = differences.loc[(name, ALL_TASKS)]
        assert (row["baseline_value"], row["value"], row["difference"]) == (0.0, value, value)
        assert measure_of(name).text(row["baseline_value"]) == "$0.00000"
    # Alone, and beside one that has no price either, nothing is said of costs.
    for others in ([], [block(outcomes, model="hosted", cost_usd=None)]):
        assert summarize(pd.concat([free, *others]))["cost_usd"].isna().all()


def test_no_success_has_no_figure_per_success() -> None:
    result = summarize(block(np.zeros((4, 5)))).iloc[0]
    for measure in ("length_given_success", "tokens_per_success", "cost_per_success"):
        assert np.isnan(result[measure])
        assert result[f"{measure}_interval"] == "none: no success"
    assert result["success"] == 0
    assert result["success_high"] == pytest.approx(wilson(0, 20)[1])


@pytest.mark.parametrize("column", SETTINGS)
def test_different_agents_are_never_averaged(column: str) -> None:
    values = [0, 8] if column in ("num_dists", "history_length") else ["a", "b"]
    both = pd.concat([block(np.full((3, 5), i), **{column: value}) for i, value in enumerate(values)])
    for by in (("variant",), ("run",), ("task",), ("variant", "task")):
        result = summarize(both, by=by)
        assert column in result.columns
        assert sorted(set(zip(result[column], result["success"], strict=True))) == [
            (values[0], 0.0),
            (values[1], 1.0),
        ]
    columns, split = groups(both, ("task",))
    assert columns == ["task", column]
    assert [(names["task"], names[column], len(rows), tasks) for names, rows, tasks in split] == [
        (task, value, 3, [task]) for task in sorted(TASKS) for value in values
    ]


def test_overall_figures_of_two_variants_are_over_the_same_tasks() -> None:
    both = pd.concat([block(np.ones((3, 5))), block(np.ones((3, 4)), variant="history")])
    overall = summarize(both).set_index("variant")
    assert overall["success"].tolist() == pytest.approx([1, np.nan], nan_ok=True)
    assert overall.loc["history", "success_interval"] == "none: no complete seed block"
    assert overall.loc["history", ["success_worst", "success_best"]].tolist() == pytest.approx([0.8, 1])
    per_task = summarize(both, by=("variant", "task"))
    assert per_task["success"].tolist() == [1] * 9


def test_an_estimate_of_some_tasks() -> None:
    _, [(_, rows, tasks)] = groups(block([[1, 0, 1], [1, 1, MISSING]]), ("variant",))
    assert tasks == ["goto", "open", "pickup"]
    assert estimate(rows, "success", tasks).value == 2 / 3
    assert estimate(rows, "success", ["goto", "pickup"]).value == 0.75
    assert success_bounds(rows, ["goto", "pickup"]) == (0.75, 0.75)
    assert success_bounds(rows, tasks) == pytest.approx((4 / 6, 5 / 6))


def test_empty_and_failed_tables() -> None:
    assert groups(table(), ("variant",)) == (["variant"], [])
    assert len(summarize(table())) == len(estimates(table(), "success")) == 0
    assert list(summarize(table()).columns) == list(summarize(table({})).columns)
    result = summarize(block(np.full((2, 3), ERROR))).iloc[0]
    assert {result[f"{measure}_interval"] for measure in MEASURES} == {"none: no finished episode"}
    assert result[list(MEASURES)].isna().all()
    assert (result["n_seeds"], result["n_errors"]) == (0, 6)
    assert (result["success_worst"], result["success_best"]) == (0, 1)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda t: t.drop(columns=["seed", "status"]), "lacks the columns seed, status"),
        (lambda t: t.assign(status="fine"), "must be .ok. or .error."),
        (lambda t: t.assign(success=0.5), "must be true or false"),
        (lambda t: t.assign(success=None), "must be true or false"),
        (lambda t: t.assign(episode_length="long"), "episode_length must be numeric"),
        (lambda t: t.assign(cost_usd=[{"USD": 1}]), "cost_usd must be numeric"),
        (lambda t: pd.concat([t, t]), "twice"),
    ],
)
def test_bad_tables(bad, says: str) -> None:
    for use in (summarize, lambda t: estimates(t, "success"), lambda t: groups(t, ("task",))):
        with pytest.raises(InputError, match=says):
            use(bad(table({})))


def test_bad_questions() -> None:
    for by in (("seed",), ("variant", "nobody"), (), "status"):
        with pytest.raises(InputError, match="be grouped"):
            summarize(table({}), by=by)
    with pytest.raises(InputError, match=r"unknown measure 'luck'.*success"):
        estimates(table({}), "luck")


def test_the_table_is_left_as_it_was() -> None:
    rows = block([[1, ERROR], [0, 1]])
    kept = rows.copy()
    summarize(rows)
    pd.testing.assert_frame_equal(rows, kept)
