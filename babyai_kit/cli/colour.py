"""Colour on a terminal that wants it; see https://no-color.org."""

from __future__ import annotations

import os
from typing import TextIO

CODES = {"bold": 1, "red": 31, "green": 32, "yellow": 33}


def painted(text: str, colour: str, stream: TextIO) -> str:
    """`text` as it is to be written to `stream`: in `colour`, one of CODES, if that is a terminal."""
    if not wants_colour(stream):
        return text
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m"


def wants_colour(stream: TextIO) -> bool:
    """True for a terminal, unless NO_COLOR is set or the terminal has no colours."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()
