"""When models go: the table, what a server says itself, and the line that a user reads. Any day will do."""

from __future__ import annotations

from datetime import date

import pytest

from babyai_kit.configuration import addresses
from babyai_kit.configuration.models import DEFAULT_MODEL, LANGUAGE_MODEL, OFFLINE_MODEL
from babyai_kit.configuration.retirements import shutdown_of, warning

TODAY = date(2026, 11, 27)
END = date(2027, 1, 14)
PROXY = "https://llm.example.com/v1/"


@pytest.mark.parametrize(
    ("model", "day"),
    [
        ("gpt-4o-mini", END),
        ("gpt-4o-mini-2024-07-18", END),
        ("ft:gpt-4o-mini-2024-07-18:org:act:1", END),
        ("gpt-4o", END),
        ("gpt-4o-2024-11-20", END),
        ("gpt-4.1", END),
        ("ft:gpt-4.1-mini-2025-04-14:org::1", END),
        ("gpt-4.1-nano", date(2026, 10, 23)),
        ("gpt-5-mini", date(2026, 12, 11)),
        (DEFAULT_MODEL, None),
        ("gpt-4o-mini-of-mine", None),
        ("llama3", None),
        (OFFLINE_MODEL, None),
        (LANGUAGE_MODEL, None),
        (f"ft:{OFFLINE_MODEL}:offline:act:1", None),
        ("", None),
    ],
)
def test_the_day_from_which_openai_does_not_serve_a_model(model: str, day: date | None):
    assert shutdown_of(model) == shutdown_of(model, base_url=addresses.OPENAI) == day


def test_the_table_is_openais():
    """Azure keeps the same models longer, and others have days of their own."""
    for elsewhere in ({"provider": "azure"}, {"provider": "openrouter"}, {"provider": "vllm"}):
        assert shutdown_of("gpt-4o-mini", **elsewhere) is None
    for host in ("https://me.openai.azure.com/openai/v1/", "https://openrouter.ai/api/v1/"):
        assert shutdown_of("gpt-4o-mini", base_url=host) is None
        assert warning("gpt-4o-mini", TODAY, base_url=host) is None
    assert shutdown_of("gpt-4o-mini", base_url=PROXY) == END


def test_what_the_server_says_goes_before_the_table():
    later = date(2027, 3, 1)
    for base_url in (addresses.OPENAI, PROXY, "https://openrouter.ai/api/v1/"):
        assert shutdown_of("gpt-4o-mini", later, base_url=base_url) == later
    assert shutdown_of("claude-haiku-4-5", later, provider="anthropic") == later


@pytest.mark.parametrize(
    ("today", "words"),
    [
        (TODAY, "leaves OpenAI's API on 2027-01-14, in 48 days"),
        (date(2027, 1, 13), "leaves OpenAI's API on 2027-01-14, in 1 day"),
        (END, "left OpenAI's API on 2027-01-14"),
        (date(2031, 5, 5), "left OpenAI's API on 2027-01-14"),
    ],
)
def test_a_model_of_openai_goes_or_went(today: date, words: str):
    line = warning("gpt-4o-mini-2024-07-18", today, base_url=addresses.OPENAI)
    assert line == f"gpt-4o-mini-2024-07-18 {words}; set AGENT_MODEL={DEFAULT_MODEL}"
    other = warning("gpt-4o-mini-2024-07-18", today, named_in="--models")
    assert other == f"gpt-4o-mini-2024-07-18 {words}; name another model"


def test_behind_a_proxy_it_may_go():
    line = warning("gpt-4o-mini", TODAY, base_url=PROXY)
    assert line == (
        "gpt-4o-mini leaves OpenAI's API on 2027-01-14, in 48 days, and may be gone from this server then, "
        f"too; set AGENT_MODEL={DEFAULT_MODEL} if the server has it"
    )
    assert "left OpenAI's API on 2027-01-14, and may be gone" in str(
        warning("gpt-4o-mini", END, base_url=PROXY)
    )


def test_another_server_dates_its_own_models():
    days = {"listed": date(2026, 12, 1), "base_url": PROXY}
    assert warning("house-model", TODAY, **days) == (
        "house-model leaves its server on 2026-12-01, in 4 days, as that server says; "
        "set AGENT_MODEL to another of its models"
    )
    assert "should have left its server on 2026-12-01" in str(warning("house-model", END, **days))


def test_a_model_that_stays_needs_no_line():
    for base_url in ("", addresses.OPENAI, PROXY):
        assert warning(DEFAULT_MODEL, TODAY, base_url=base_url) is None
