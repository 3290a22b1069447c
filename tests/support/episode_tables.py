"""Small `episodes` tables as a run leaves them: the same dtypes, None where nothing is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.environment import TASKS
from babyai_kit.runs.episode_table import to_frame
from babyai_kit.runs.records import EpisodeRecord

ERROR = -1.0
MISSING = np.nan

ROW = EpisodeRecord(
    run="r", variant="baseline", model="m", task="goto", num_dists=0, seed=0, repeat=0, history_length=0,
    variant_digest="d", episode_id="e", status="ok", error=None, success=True, episode_return=0.9,
    episode_length=10, max_steps=64, shortest_length=5, invalid_actions=0, input_tokens=100,
    output_tokens=10, cost_usd=0.001, wall_s=1.0,
)  # fmt: skip
BROKEN = {
    "status": "error",
    "error": "timeout: slow",
    "error_kind": "timeout",
    "success": None,
    "episode_return": None,
}


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    """A row for each, as ROW but for what it says."""
    return to_frame(replace(ROW, **row) for row in rows)


def outcome(value: float) -> dict[str, Any]:
    """The fields of an episode that succeeded (1), failed (0) or broke (ERROR)."""
    if value == ERROR:
        return dict(BROKEN)
    return {"success": bool(value), "episode_return": 0.9 * value, "episode_length": 10 if value else 64}


def block(outcomes: Iterable[Sequence[float]], **fields: Any) -> pd.DataFrame:
    """The table of a matrix [seeds, tasks] of 1, 0, ERROR and MISSING."""
    return table(
        *(
            {"seed": seed, "task": task} | outcome(value) | fields
            for seed, values in enumerate(outcomes)
            for task, value in zip(TASKS, values, strict=False)
            if not np.isnan(value)
        )
    )
