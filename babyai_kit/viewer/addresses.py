"""Places in the application, as its addresses say them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode


def place_of(runs: Sequence[str]) -> str:
    """Where to look at these runs: one's page, two beside each other, else the overview."""
    if len(runs) == 1:
        return f"#/run?{urlencode({'run': runs[0]})}"
    if len(runs) == 2:
        return f"#/compare?{urlencode({'a': runs[0], 'b': runs[1]})}"
    return ""
