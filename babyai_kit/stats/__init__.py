"""Statistics: from outcomes to figures with intervals. Knows nothing of gateway, journal or plots.

Of arrays: `estimators` (rates), `resampling` (bootstrap, sign flips), `paired` (differences), `power`. Of the
`episodes` table: `tables` (each agent by itself), `comparison` (against a baseline), `curves`.
"""

from babyai_kit.stats.comparison import compare
from babyai_kit.stats.curves import return_profiles, success_by_step
from babyai_kit.stats.estimators import (
    CONFIDENCE,
    Estimate,
    clustered_success,
    complete_blocks,
    wilson,
)
from babyai_kit.stats.paired import Difference, bonett_price, holm, mcnemar, paired_bootstrap, paired_success
from babyai_kit.stats.power import power, seeds_needed, smallest_detectable
from babyai_kit.stats.resampling import bootstrap
from babyai_kit.stats.tables import (
    ALL_TASKS,
    MEASURES,
    SETTINGS,
    SOURCES,
    cells,
    estimate,
    estimates,
    groups,
    success_bounds,
    summarize,
)

__all__ = [
    "ALL_TASKS",
    "CONFIDENCE",
    "MEASURES",
    "SETTINGS",
    "SOURCES",
    "Difference",
    "Estimate",
    "bonett_price",
    "bootstrap",
    "cells",
    "clustered_success",
    "compare",
    "complete_blocks",
    "estimate",
    "estimates",
    "groups",
    "holm",
    "mcnemar",
    "paired_bootstrap",
    "paired_success",
    "power",
    "return_profiles",
    "seeds_needed",
    "smallest_detectable",
    "success_bounds",
    "success_by_step",
    "summarize",
    "wilson",
]
