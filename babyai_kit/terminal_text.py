"""Text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Sequence

WIDTH = 79
"""Columns of a line: one that fills the last column leaves an empty line on some terminals."""


def wrapped(text: str) -> list[str]:
    """The text in lines of at most WIDTH columns; names with hyphens stay whole."""
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)


def shortened(names: Collection[str], columns: int) -> dict[str, str]:
    """`names`, each in at most `columns`: of a longer one, both ends, which are what tells names apart. Those
    that would look alike stay whole."""
    short = {name: name if len(name) <= columns else _without_middle(name, columns) for name in names}
    count = Counter(short.values())
    return {name: text if count[text] == 1 else name for name, text in short.items()}


def _without_middle(text: str, columns: int) -> str:
    end = (columns - 1) // 2
    return f"{text[: columns - 1 - end]}…{text[-end:]}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, its label at the left and its figures at the right of their columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"  {label:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        for label, *cells in rows
    ]
