"""The report of a run: one page for readers, one summary for programs.

`standing` says how far the run is, `summary` is laid beside BALROG's leaderboard, `sections` gathers what the
page shows, `written` writes both. Works from the journal alone and calls nobody.
"""

from babyai_kit.report.standing import Standing
from babyai_kit.report.summary import make_summary
from babyai_kit.report.writer import Report, write_report

__all__ = ["Report", "Standing", "make_summary", "write_report"]
