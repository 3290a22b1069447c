"""A finding of `doctor`: one line of its screen."""

from __future__ import annotations

from dataclasses import dataclass

from babyai_kit.hostile_text import one_line

OK, NOTE, TROUBLE = "ok", "note", "TROUBLE"
"""Grades: all well; works, but worth knowing; a run would fail."""


@dataclass(frozen=True)
class Finding:
    """What was found out about one part. Its text may quote servers and files."""

    grade: str
    part: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade:<8}{self.part:<12}{one_line(self.text)}"
