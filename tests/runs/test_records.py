import dataclasses
import math
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.errors import ModelError
from babyai_kit.runs.episode_table import COLUMNS, to_frame
from babyai_kit.runs.metrics import from_tags, to_tags
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, StepRecord, from_json, summarize

KEY = EpisodeKey("first", "history", "m", "goto", 0, 7, 0, 8)


def step(index: int = 0, **changed: Any) -> StepRecord:
    return StepRecord(
        **dataclasses.asdict(KEY)
        | {"variant_digest": "d", "episode_id": "e", "step": index}
        | {
            "observation": "a wall 2 steps forward",
            "answer": '{"action": "go forward"}',
            "thinking": None,
        }
        | {
            "action": "go forward",
            "valid": True,
            "reward": 0.0,
            "input_tokens": 100,
            "output_tokens": 5,
        }
        | {"cost_usd": None, "call_s": 0.5, "inference_id": f"i{index}"}
        | changed
    )


def episode(**changed: Any) -> EpisodeRecord:
    steps = [step(0), step(1, reward=0.9)]
    record = summarize(KEY, "d", "e", steps, max_steps=64, shortest_length=2)
    return dataclasses.replace(record, **changed)


def test_a_finished_episode_sums_its_steps():
    record = episode()
    assert (record.status, record.success, record.episode_return) == ("ok", True, 0.9)
    assert (record.episode_length, record.invalid_actions, record.wall_s) == (2, 0, 1.0)
    assert (record.input_tokens, record.output_tokens, record.cost_usd) == (200, 10, None)


def test_an_error_is_neither_success_nor_failure():
    record = summarize(
        KEY, "d", "e", [step()], max_steps=64, shortest_length=None, error=ModelError("x", kind="timeout")
    )
    assert (record.status, record.success, record.episode_return) == ("error", None, None)
    assert (record.error, record.error_kind) == ("timeout: x", "timeout")
    frame = to_frame([record, episode()])
    assert frame["success"].mean() == 1.0


def test_a_line_from_before_error_kinds_tells_its_kind():
    old = vars(summarize(KEY, "d", "e", [], max_steps=64, shortest_length=None))
    del old["error_kind"]
    assert from_json(EpisodeRecord, old).error_kind is None
    assert from_json(EpisodeRecord, old | {"error": "rate limit: slow: down"}).error_kind == "rate limit"
    assert from_json(EpisodeRecord, old | {"error": "of another version: x"}).error_kind == "other"


def test_one_step_without_usage_makes_the_sum_unknown():
    record = summarize(KEY, "d", "e", [step(), step(1, input_tokens=None)], max_steps=64, shortest_length=2)
    assert record.input_tokens is None
    assert record.output_tokens == 10


def test_the_table_has_the_documented_columns_also_when_empty():
    for records in ([], [episode(), episode(cost_usd=0.25)]):
        frame = to_frame(records)
        assert list(frame.columns) == COLUMNS
        assert str(frame["success"].dtype) == "boolean"
        assert str(frame["cost_usd"].dtype) == "float64"
    assert math.isnan(to_frame([episode()])["cost_usd"][0])


numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=0)
counts = st.none() | st.integers(0, 10**12)


@given(
    st.text(),
    st.booleans(),
    numbers,
    counts,
    counts,
    st.none() | numbers,
    st.none() | st.integers(0, 500),
)
def test_a_row_survives_the_journey_as_tags(task, success, value, tokens, more, cost, shortest):
    record = episode(
        task=task,
        success=success,
        episode_return=value,
        input_tokens=tokens,
        output_tokens=more,
        cost_usd=cost,
        shortest_length=shortest,
    )
    tags = to_tags(record)
    assert all(isinstance(v, str) for v in tags.values())
    assert from_tags(tags | {"run_id": "x", "tensorzero::y": "z"}) == record
    pd.testing.assert_frame_equal(to_frame([from_tags(tags)]), to_frame([record]))


def test_call_seeds_are_stable_and_differ_by_place():
    seeds = {KEY.call_seed(i) for i in range(100)}
    assert len(seeds) == 100
    assert all(0 <= s < 2**31 for s in seeds)
    assert KEY.call_seed(0) == EpisodeKey("other run", *dataclasses.astuple(KEY)[1:]).call_seed(0)
