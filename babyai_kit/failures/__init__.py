"""Failure analysis: how the agent failed, from its recorded actions alone.

`facts` observes an episode as it is replayed, `classes` classifies what was observed, `tables` counts. What a
model writes beside its actions does not count.
"""

from babyai_kit.failures.classes import CLASSES, classify
from babyai_kit.failures.facts import Facts, observe
from babyai_kit.failures.tables import COLUMNS, failure_shares, failure_table, load_failures

__all__ = [
    "CLASSES",
    "COLUMNS",
    "Facts",
    "classify",
    "failure_shares",
    "failure_table",
    "load_failures",
    "observe",
]
