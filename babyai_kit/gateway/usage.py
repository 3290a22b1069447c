"""What a provider says of the tokens of an answer beyond input and output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from babyai_kit.configuration.usage_forms import usage_form


class UsageDetails(NamedTuple):
    """Token counts; None where the provider reports none."""

    cached: int | None
    """Input tokens that were read from the provider's cache."""
    cache_written: int | None
    """Input tokens that were written to it."""
    reasoning: int | None
    """Output tokens of reasoning. Anthropic counts them within the output, and reports no figure."""


NO_DETAILS = UsageDetails(None, None, None)


def usage_details(
    usage: Any, provider_type: str = "openai", *, api_type: str = "chat_completions"
) -> UsageDetails:
    """The counts in `usage`, the usage object of a provider's response (`RawUsageEntry.data`)."""
    form = usage_form(provider_type, api_type=api_type)
    return UsageDetails(
        cached=_first_count(usage, form.cached),
        cache_written=_first_count(usage, form.written),
        reasoning=_first_count(usage, form.reasoning),
    )


def details_of(raw_usage: Iterable[Any] | None) -> UsageDetails:
    """The sums over the entries of a response's `raw_usage`, one for each model that was asked."""
    details = [usage_details(e.data, e.provider_type, api_type=e.api_type) for e in raw_usage or ()]
    return UsageDetails(*(_sum(counts) for counts in zip(*details, strict=True))) if details else NO_DETAILS


def _first_count(usage: Any, pointers: Iterable[str]) -> int | None:
    for pointer in pointers:
        value = usage
        for name in pointer.split("/")[1:]:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and value % 1 == 0:
            return int(value)
    return None


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
