"""What others wrote: JSON without depth, lines that cannot steer a terminal."""

from __future__ import annotations

import json

import pytest

from babyai_kit.hostile_text import MAX_DEPTH, one_line, parse_json


@pytest.mark.parametrize("opened", ["[", '{"a":', '[{"a":[1,'])
@pytest.mark.parametrize("times", [MAX_DEPTH + 1, 900, 5_000, 200_000])
def test_json_that_is_nested_too_deeply_is_no_json(opened: str, times: int):
    closed = {"[": "]", '{"a":': "1}", '[{"a":[1,': "1]}]"}[opened]
    inner = opened * times + ("1" if opened == '{"a":' else "")
    for text in (inner, inner + closed.replace("1", "") * times):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)
        with pytest.raises(ValueError, match=r"."):
            parse_json(text.encode())


def test_json_up_to_the_depth_is_read_however_wide_it_is():
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    wide = [[[1], {"a": [2]}]] * 1000
    assert json.dumps(parse_json(deep)) == deep
    assert parse_json(json.dumps(wide)) == parse_json(json.dumps(wide).encode()) == wide


def test_brackets_in_text_have_no_depth():
    assert parse_json(json.dumps(["[" * 500])) == ["[" * 500]


def test_a_line_is_one_line_and_can_be_printed():
    line = one_line(" a\n\tb\r\x1b[0m\u202e\udcff  c ")
    assert line == "a b ␛[0m�� c"
    assert line.isprintable()
    assert one_line("x" * 50, 10) == "x" * 10 + "…"
    assert one_line("x" * 10, 10) == "x" * 10
