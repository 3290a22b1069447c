"""Places in the application, as its addresses say them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from babyai_kit.viewer.comparison import sides_of
from babyai_kit.viewer.library import Library
from babyai_kit.viewer.run_index import RunIndex


def place_of(runs: Sequence[str], library: Library) -> str:
    """Where to look at these runs: one's page, the first agents of two beside each other, else the overview.

    Raises InputError for an unknown run.
    """
    for run in runs:
        library.check(run)
    if len(runs) == 1:
        return f"#/run?{urlencode({'run': runs[0]})}"
    if len(runs) == 2:
        query: dict[str, str] = {}
        for name, run in zip("ab", runs, strict=True):
            sides = sides_of(RunIndex(library.results, run).contents(steps=False))
            if not sides:
                return ""
            # The same run twice means two of its agents.
            side = sides[-1] if name == "b" and runs[0] == run else sides[0]
            query |= {name: run, f"{name}.agent": side.agent, f"{name}.model": side.model}
        return f"#/compare?{urlencode(query)}"
    return ""
