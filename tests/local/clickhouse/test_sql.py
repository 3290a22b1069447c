"""Reading SQL: where statements end and rows begin, whatever the text."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from babyai_kit.local.clickhouse.sql import find_insert, split_settings, tokens

PIECES = [
    "INSERT", "INTO", "t", "FORMAT", "JSONEachRow", "VALUES", "SELECT", "input(", "(", ")", "'", "\\", "`",
    '"', "$a$", "--", "/*", "*/", "\n", " ", ";", "SETTINGS", "async_insert=1", ",", "=", "é", "#!", "{", "}",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_any_text_can_be_read(text):
    sql = text.encode("utf-8", "surrogatepass")
    sequence = list(tokens(sql))
    assert all(sql[t.start : t.end] == t.text for t in sequence)
    assert [t.start for t in sequence] == sorted({t.start for t in sequence})
    insert = find_insert(sql)
    if insert is not None:
        assert len(insert.sql) <= insert.data_start <= len(sql)
    assert 0 <= split_settings(sql) <= len(sql)


@pytest.mark.parametrize(
    ("text", "sql", "form", "rows"),
    [
        ("INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", "1,2\n"),
        ("insert into t format CSV 1,2", "insert into t ", "CSV", "1,2"),
        ("INSERT INTO t FORMAT CSV\n\n 1", "INSERT INTO t ", "CSV", "\n 1"),
        ("INSERT INTO t (a, format) VALUES (1)", "INSERT INTO t (a, format) ", "Values", " (1)"),
        ("INSERT INTO `values` VALUES (1)", "INSERT INTO `values` ", "Values", " (1)"),
        ("INSERT INTO values VALUES (1)", "INSERT INTO values ", "Values", " (1)"),
        ("INSERT INTO d.values FORMAT TSV x", "INSERT INTO d.values ", "TSV", "x"),
        ("/* VALUES */ INSERT INTO t -- x\nFORMAT TSV\nx", "/* VALUES */ INSERT INTO t -- x\n", "TSV", "x"),
        ("INSERT INTO t SETTINGS a='FORMAT' FORMAT TSV\nx", "INSERT INTO t SETTINGS a='FORMAT' ", "TSV", "x"),
    ],
)  # fmt: skip
def test_where_the_rows_begin(text, sql, form, rows):
    insert = find_insert(text.encode())
    assert insert is not None
    assert (insert.sql.decode(), insert.format, text[insert.data_start :]) == (sql, form, rows)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FORMAT CSV",
        "INSERT INTO t SELECT format FROM u",
        "INSERT INTO t SELECT * FROM values('a Int8', 1)",
        "",
    ],
)
def test_no_rows_follow(text):
    assert find_insert(text.encode()) is None


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("INSERT INTO t SETTINGS a = 2", "INSERT INTO t "),
        ("INSERT INTO t (a, settings)", "INSERT INTO t (a, settings)"),
        ("INSERT INTO t (settings) SETTINGS x='a,b'", "INSERT INTO t (settings) "),
    ],
)
def test_where_the_settings_begin(text, statement):
    assert text[: split_settings(text.encode())] == statement
