"""Statistics: pure functions from arrays (`estimators`) and the `episodes` table (`tables`) to figures with
intervals. Knows nothing of gateway, journal or plots."""

from babyai_kit.stats.estimators import (
    CONFIDENCE,
    Estimate,
    bootstrap,
    clustered_success,
    complete_blocks,
    wilson,
)
from babyai_kit.stats.tables import (
    MEASURES,
    SETTINGS,
    cells,
    estimate,
    estimates,
    groups,
    success_bounds,
    summarize,
)

__all__ = [
    "CONFIDENCE",
    "MEASURES",
    "SETTINGS",
    "Estimate",
    "bootstrap",
    "cells",
    "clustered_success",
    "complete_blocks",
    "estimate",
    "estimates",
    "groups",
    "success_bounds",
    "summarize",
    "wilson",
]
