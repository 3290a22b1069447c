"""A finding of `doctor`: one line of its screen, or some in a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from babyai_kit.hostile_text import one_line
from babyai_kit.terminal_text import WIDTH

OK, NOTE, TROUBLE = "ok", "note", "TROUBLE"
"""Grades: all well; works, but worth knowing; a run would fail."""

INDENT = 20
"""Columns before the text."""


@dataclass(frozen=True)
class Finding:
    """What was found out about one part. Its text may quote servers and files."""

    grade: str
    part: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade:<8}{self.part:<12}{one_line(self.text)}"

    def in_columns(self) -> str:
        """The same in lines that fit a terminal; words that are longer, such as addresses, stay whole."""
        lines = textwrap.wrap(
            str(self),
            WIDTH,
            subsequent_indent=" " * INDENT,
            break_on_hyphens=False,
            break_long_words=False,
            drop_whitespace=True,
        )
        return "\n".join(lines)
