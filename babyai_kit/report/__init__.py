"""The report of a run: one page for readers, one summary for programs.

`standing` says how far the run is, `summary` is laid beside BALROG's leaderboard, `tables` (whose rows
`headings` names), `invalid_answers` and `provenance` make parts of the page, `writer` writes both files.
All of it comes from the journal alone.
"""

from babyai_kit.report.standing import Standing
from babyai_kit.report.summary import make_summary
from babyai_kit.report.writer import Report, write_report

__all__ = ["Report", "Standing", "make_summary", "write_report"]
