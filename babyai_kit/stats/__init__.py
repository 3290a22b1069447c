"""Statistics: from outcomes to figures with intervals.

Of arrays: `estimators` (rates), `resampling` (bootstrap, sign flips), `paired` (differences), `power`. Of the
`episodes` table: `tables` (each agent by itself), `comparison` (against a baseline), `curves`,
`trade_off` (success against what it takes). `measures` says what is measured, and how it is named and
formatted.
"""

from babyai_kit.stats.comparison import agent_columns, check_baseline, compare, rows_of_agent, usual_baseline
from babyai_kit.stats.curves import return_profiles, success_by_step
from babyai_kit.stats.estimators import (
    CONFIDENCE,
    Estimate,
    clustered_success,
    complete_blocks,
    reasons,
    wilson,
)
from babyai_kit.stats.measures import DOLLARS, MEASURES, UNKNOWN, Measure, measure_of, p_value_text
from babyai_kit.stats.paired import Difference, bonett_price, holm, mcnemar, paired_bootstrap, paired_success
from babyai_kit.stats.power import power, seeds_needed, smallest_detectable
from babyai_kit.stats.resampling import bootstrap
from babyai_kit.stats.tables import (
    ALL_TASKS,
    SETTINGS,
    cells,
    count_errors,
    estimate,
    estimates,
    finished,
    groups,
    success_bounds,
    summarize,
    with_free_models,
)
from babyai_kit.stats.trade_off import on_front, trade_off
from babyai_kit.stats.verdict import verdict

__all__ = [
    "ALL_TASKS",
    "CONFIDENCE",
    "DOLLARS",
    "MEASURES",
    "SETTINGS",
    "UNKNOWN",
    "Difference",
    "Estimate",
    "Measure",
    "agent_columns",
    "bonett_price",
    "bootstrap",
    "cells",
    "check_baseline",
    "clustered_success",
    "compare",
    "complete_blocks",
    "count_errors",
    "estimate",
    "estimates",
    "finished",
    "groups",
    "holm",
    "mcnemar",
    "measure_of",
    "on_front",
    "p_value_text",
    "paired_bootstrap",
    "paired_success",
    "power",
    "reasons",
    "return_profiles",
    "rows_of_agent",
    "seeds_needed",
    "smallest_detectable",
    "success_bounds",
    "success_by_step",
    "summarize",
    "trade_off",
    "usual_baseline",
    "verdict",
    "wilson",
    "with_free_models",
]
