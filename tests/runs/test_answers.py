"""Why answers were not valid: servers' ways of spoiling an answer, and that every answer has one reason."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit import ACTIONS
from babyai_kit.runs.answers import (
    INVALID_REASONS,
    REMEDIES,
    count_reasons,
    counts_text,
    invalid_reason,
    reason_of,
    remedy,
)
from tests.support.answers import CORPUS, GOOD, generated
from tests.support.journals import Reply, play

GIVEN = '{"action": "drop"}'


@pytest.mark.parametrize(
    ("answer", "finish_reason", "reason"),
    [
        (None, None, "empty"),
        ("", "stop", "empty"),
        (" \n", "stop", "empty"),
        ("", "length", "cut off"),
        ("<think>I must", "length", "cut off"),
        ('{"action": "go for', "length", "cut off"),
        ("I cannot help with that.", "content_filter", "refused"),
        (None, "content_filter", "refused"),
        (f"<think>Let me {{see}}.</think>\n{GIVEN}", "stop", "wrapped"),
        (f"```json\n{GIVEN}\n```", "stop", "wrapped"),
        (f"Sure! {GIVEN} Good luck.", "stop", "wrapped"),
        ("\ufeff" + GIVEN, "stop", "wrapped"),
        ('{"action": "fly"}', "stop", "unknown action"),
        ('{"action": ""}', "stop", "unknown action"),
        ('{"aktion": "drop"}', "stop", "another form"),
        ('{"thinking": 1, "action": "drop"}', "stop", "another form"),
        ("drop", "stop", "another form"),
        ('["drop"]', "stop", "another form"),
        ("[" * 5000, "stop", "another form"),
        ("} {", None, "another form"),
    ],
)
def test_each_way_of_spoiling_has_its_reason(
    answer: str | None, finish_reason: str | None, reason: str
) -> None:
    assert reason_of(answer, finish_reason) == reason


@given(
    st.none() | st.text() | st.sampled_from(CORPUS),
    st.none() | st.text() | st.sampled_from(["stop", "length", "content_filter", "tool_call", "unknown"]),
)
def test_every_answer_has_one_reason(answer: str | None, finish_reason: str | None) -> None:
    assert reason_of(answer, finish_reason) in INVALID_REASONS


@given(st.dictionaries(st.text(), st.text()), st.text(st.characters(exclude_characters="{}<")))
def test_an_object_in_prose_is_wrapped_and_one_alone_is_not(content: dict[str, str], prose: str) -> None:
    text = json.dumps(content)
    assert reason_of(text, "stop") in ("unknown action", "another form")
    assert reason_of(f"So: {prose}{text}{prose} That is all.", "stop") == "wrapped"


def test_invalid_answers_of_an_episode_are_counted_by_reason_and_valid_ones_not() -> None:
    raws = ["", "Well.", f"```{GIVEN}```", "", *GOOD]
    episode = play([Reply(raw=raw) for raw in raws[:4]] + ["turn left", "drop"], stop_after=6)
    assert [invalid_reason(step) is None for step in episode.steps] == [False] * 4 + [True] * 2
    counts = count_reasons(episode.steps)
    assert counts == {"empty": 2, "another form": 1, "wrapped": 1}
    assert counts_text(counts) == "empty: 2, wrapped: 1, another form: 1"
    assert remedy(counts) == REMEDIES["empty"]
    assert remedy(counts, chats=True).startswith("check what the agent returns")
    assert "JSON" not in remedy({"another form": 1}, chats=True)


@given(st.dictionaries(st.sampled_from(INVALID_REASONS), st.integers(1, 10**6), min_size=1))
def test_counts_are_told_most_frequent_first_with_the_remedy_of_the_first(counts: dict[str, int]) -> None:
    told = counts_text(counts)  # type: ignore[arg-type]
    first = told.partition(":")[0]
    assert counts[first] == max(counts.values())
    assert remedy(counts) == REMEDIES[first]  # type: ignore[arg-type,index]
    assert told.count(":") == len(counts)


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(INVALID_REASONS)
    assert not set(ACTIONS) & set(INVALID_REASONS)
    assert Counter(reason_of(answer, None) for answer in generated(2000, seed=7)).keys() <= set(REMEDIES)
