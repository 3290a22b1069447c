"""Waiting times: servers' own words from public reports, and that any duration is read as it was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.waiting_times import in_words, seconds_in


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached for gpt-4o on TPM: Limit 30000, Used 29800. Please try again in 2s.", 2),
        ("Please try again in 1m30.5s. Visit https://x.test/account/rate-limits", 90.5),
        ("Please try again in 350ms.", 0.35),
        ("Please try again in 6h0m0s.", 21600),
        ("Please retry after 17 seconds.", 17),
        ("Please retry in 34.074824224s.", 34.074824224),
        ('{"error": {"details": [{"retryDelay": "34s"}]}}', 34),
        ("Too many requests. Retry-After: 30", 30),
        ('{"retry_after": 12.5, "global": false}', 12.5),
        ("TOO MANY REQUESTS, WAIT 1 MINUTE AND 5 SECONDS", 65),
        ("Rate limit resets in 2 hours, 10 min", 7800),
        ("You must wait at least 3 minutes", 180),
        ("the model server limits the rate (429); lower the concurrency: Error 429 Too Many Requests", None),
        ("try again: Error 503 Service Unavailable", None),
        ("Limit 20 requests per 60 s", None),
        ("retry later", None),
        ("try again in 99999999999999999999 s", None),
        ("", None),
    ],
)
def test_what_servers_write(text: str, seconds: float | None) -> None:
    assert seconds_in(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.sampled_from(["", " "]))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int, gap: str) -> None:
    text = f"{hours}{gap}h{gap}{minutes}{gap}m{gap}{seconds}{gap}s"
    assert seconds_in(f"Slow down! Please try again in {text}.") == 3600 * hours + 60 * minutes + seconds


@given(st.text(), st.text())
def test_any_text_is_read(before: str, after: str) -> None:
    seconds = seconds_in(f"{before} try again in {after}")
    assert seconds is None or seconds >= 0


def test_a_long_text_is_read_at_once() -> None:
    assert seconds_in("retry after " * 50_000 + "1 s " * 50_000) == pytest.approx(50_000)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0, "1 s"), (58.2, "58 s"), (119, "119 s"), (120, "2 min")),
        *((725, "12 min"), (7200, "2 h"), (7500, "2 h 5 min"), (300_000, "3 days")),
    ],
)
def test_a_duration_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
