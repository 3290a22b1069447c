"""Waiting times in words: read from what a server wrote, and written for the user."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
_PART = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,9}})?)\s*{_UNIT}", re.IGNORECASE)
_JOINT = r"(?:\s*,?\s*(?:and\s+)?)"
_DURATION = rf"(?:{_PART.pattern}{_JOINT})+"
_REQUEST = re.compile(
    rf"\b(?:try(?:ing)? again|retry(?:ing)?|retry[-_ ]?(?:after|delay)|wait(?:ing)?|resets?|available)"
    rf"(?:\W|_|(?:in|after|for|at|least|about|another|approximately|again)\b){{0,12}}?(?P<wait>{_DURATION})",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\bretry[-_ ]?after(?:[-_ ]?(?:s|secs?|seconds))?[\"']?\s*[:=]\s*[\"']?(\d{1,9}(?:\.\d{1,9})?)(?![\w.])",
    re.IGNORECASE,
)


def seconds_in(text: str) -> float | None:
    """How long `text`, a server's own words, asks to wait, in seconds; None if it does not say.

    Reads "try again in 1m30s", "retry after 17 seconds", "Retry-After: 30" and the like.
    """
    if request := _REQUEST.search(text):
        parts = _PART.findall(request["wait"])
        return sum(float(number) * _UNITS[_short(unit)] for number, unit in parts)
    header = _HEADER.search(text)
    return float(header[1]) if header else None


def in_words(seconds: float) -> str:
    """`seconds` rounded to what a reader needs: "58 s", "12 min", "2 h 5 min", "3 days"."""
    if seconds < 120:
        return f"{max(1.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24):,} days"


def _short(unit: str) -> str:
    unit = unit.lower()
    return "ms" if unit.startswith(("ms", "milli")) else unit[0]
