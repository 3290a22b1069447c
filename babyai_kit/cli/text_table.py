"""Tables of text for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MAX_LABEL = 24
"""Characters of a first column; a longer label gets a line of its own, above its figures."""


def text_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    labels: int = 1,
    max_label: int = MAX_LABEL,
) -> str:
    """Columns two spaces apart; the first `labels` start at the left, the figures end at the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[0] = max(len(line[0]) for line in lines if len(line[0]) <= max_label)
    return "\n".join(text for line in lines for text in _texts(line, widths, labels))


def _texts(line: list[str], widths: Sequence[int], labels: int) -> Iterator[str]:
    if len(line[0]) > widths[0]:
        yield line[0]
        if not any(line[1:]):
            return
        line = ["", *line[1:]]
    cells = zip(line, widths, strict=True)
    texts = [cell.ljust(width) if i < labels else cell.rjust(width) for i, (cell, width) in enumerate(cells)]
    yield "  ".join(texts).rstrip()
