"""When models leave OpenAI's API: a dated table, and the lines that warn of it.

The table is what https://developers.openai.com/api/docs/deprecations announced by November 2026. The dates of
14 January 2027, and those of fine-tuning, stand in several other places too, OpenAI's help pages among them.
A server that dates its models itself (`shutdown_date` in `/v1/models`, which OpenAI's does) knows better.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from babyai_kit.configuration import price_table
from babyai_kit.configuration.models import DEFAULT_MODEL, base_model

SETTING = "AGENT_MODEL"
FINE_TUNING_ENDS = date(2027, 1, 6)
"""From this day on, OpenAI creates no fine-tuning jobs. Since July 2026 it has created them only for accounts
that use a fine-tuned model already."""

_SHUTDOWNS: Mapping[date, tuple[str, ...]] = {
    date(2026, 10, 23): (
        *("gpt-3.5-turbo", "gpt-3.5-turbo-0125", "gpt-4", "gpt-4-0613", "gpt-4-1106-preview"),
        *("gpt-4-turbo", "gpt-4-turbo-2024-04-09", "gpt-4o-2024-05-13"),
        *("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14"),
        *("o1", "o1-2024-12-17", "o1-pro", "o1-pro-2025-03-19"),
        *("o3-mini", "o3-mini-2025-01-31", "o4-mini", "o4-mini-2025-04-16"),
    ),
    date(2026, 12, 11): (
        *("gpt-5", "gpt-5-2025-08-07", "gpt-5-mini", "gpt-5-mini-2025-08-07"),
        *("gpt-5-nano", "gpt-5-nano-2025-08-07", "gpt-5-pro", "gpt-5-pro-2025-10-06"),
        *("o3", "o3-2025-04-16", "o3-pro", "o3-pro-2025-06-10"),
    ),
    date(2027, 1, 14): (
        *("gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
        *("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        *("gpt-4.1", "gpt-4.1-2025-04-14", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
    ),
    date(2027, 4, 1): ("gpt-5.1", "gpt-5.1-2025-11-13"),
}
_DATES = {model: day for day, models in _SHUTDOWNS.items() for model in models}


def shutdown_of(
    model: str, listed: date | None = None, *, provider: str = "", base_url: str = ""
) -> date | None:
    """The day from which `model`, or the base that it was fine-tuned from, is not served; None if no such day
    is known.

    `listed`: what its server says itself, which counts before the table. `provider` and `base_url` as for
    `Prices.price_of`: the table is of OpenAI's API, and counts at hosts that nobody knows too, since a proxy
    may lead there.
    """
    day = listed or _DATES.get(base_model(model))
    return day if listed or (day and _may_be_openai(provider, base_url)) else None


def warning(
    model: str,
    today: date,
    *,
    listed: date | None = None,
    provider: str = "",
    base_url: str = "",
    named_in: str = SETTING,
) -> str | None:
    """A line that says when `model` goes or went, and what to type; None if no such day is known.

    `named_in`: where its name stands, if not in AGENT_MODEL. The other arguments are those of `shutdown_of`.
    """
    day = shutdown_of(model, listed, provider=provider, base_url=base_url)
    if day is None:
        return None
    when = when_is(day, today)
    remedy = f"set {SETTING}={DEFAULT_MODEL}" if named_in == SETTING else "name another model"
    if is_openai(provider, base_url):
        return f"{model} {'leaves' if day > today else 'left'} OpenAI's API {when}; {remedy}"
    if listed is not None:
        goes = "leaves" if day > today else "should have left"
        remedy = f"set {SETTING} to another" if named_in == SETTING else "name another"
        return f"{model} {goes} its server {when}, as that server says; {remedy} of its models"
    goes = "leaves OpenAI's API" if day > today else "left OpenAI's API"
    return f"{model} {goes} {when}, and may be gone from this server then, too; {remedy} if the server has it"


def when_is(day: date, today: date) -> str:
    """`on 2027-01-14, in 48 days`; without the number if the day is not to come."""
    days = (day - today).days
    if days <= 0:
        return f"on {day}"
    return f"on {day}, in {days} day{'' if days == 1 else 's'}"


def is_openai(provider: str = "", base_url: str = "") -> bool:
    """True for OpenAI's own API, which is where an empty `base_url` leads."""
    return provider in ("", "openai") and (not base_url or price_table.seller_of(base_url) == "openai")


def _may_be_openai(provider: str, base_url: str) -> bool:
    return provider in ("", "openai") and (
        not base_url or price_table.seller_of(base_url) in (None, "openai")
    )
