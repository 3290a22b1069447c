"""Failure analysis: how the agent failed, from its trajectories alone.

`facts` watches an episode being played again, `classes` says what the facts amount to, `tables` counts.
Knows the journal and the environment; no gateway, and nothing of what a model writes beside its actions.
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
