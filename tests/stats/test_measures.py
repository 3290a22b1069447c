"""Measures: one name, unit and format each, whatever prints them."""

from __future__ import annotations

import math
import re

import pytest

from babyai_kit.errors import InputError
from babyai_kit.runs.episode_table import COLUMNS
from babyai_kit.stats import MEASURES, UNKNOWN, measure_of, p_value_text


@pytest.mark.parametrize(
    ("name", "value", "title", "number", "difference", "text"),
    [
        ("success", 0.8333, "Success rate (%)", "83.3", "+83.3", "83.3%"),
        ("episode_return", 0.5049, "Episode return", "0.505", "+0.505", "0.505"),
        ("episode_length", 54.55, "Episode length (steps)", "54.5", "+54.5", "54.5"),
        ("input_tokens", 18007.4, "Input tokens per episode", "18,007", "+18,007", "18,007"),
        ("cost_per_success", 0.0012, "Cost per success (US dollars)", "0.00120", "+0.00120", "$0.00120"),
    ],
)
def test_a_measure_is_named_and_formatted(
    name: str, value: float, title: str, number: str, difference: str, text: str
) -> None:
    measure = measure_of(name)
    assert measure.title == title
    assert (measure.number(value), measure.difference(value), measure.text(value)) == (
        number,
        difference,
        text,
    )
    assert measure.difference(-value) == difference.replace("+", "-")


def test_what_is_unknown_has_a_dash() -> None:
    for measure in MEASURES.values():
        formats = (measure.number, measure.difference, measure.text)
        assert {form(math.nan) for form in formats} == {UNKNOWN}
    assert p_value_text(math.nan) == UNKNOWN


def test_every_measure_is_made_of_columns_of_the_table() -> None:
    assert len({measure.label for measure in MEASURES.values()}) == len(MEASURES)
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert set(measure.columns) <= set(COLUMNS)
        assert measure.unknown.count("{}") == 1


def test_p_values_below_a_thousandth_are_not_rounded_to_0() -> None:
    assert [p_value_text(p) for p in (1.0, 0.0346, 0.001, 0.0009, 0.0)] == [
        "1.000",
        "0.035",
        "0.001",
        "<0.001",
        "<0.001",
    ]


def test_an_unknown_measure_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=re.escape(f"use one of {', '.join(MEASURES)}")):
        measure_of("luck")
