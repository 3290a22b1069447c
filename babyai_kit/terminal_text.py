"""Text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

WIDTH = 79
"""Columns of a line: one that fills the last column leaves an empty line on some terminals."""


def wrapped(text: str) -> list[str]:
    """The text in lines of at most WIDTH columns; names with hyphens stay whole."""
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, its label at the left and its figures at the right of their columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"  {label:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        for label, *cells in rows
    ]
