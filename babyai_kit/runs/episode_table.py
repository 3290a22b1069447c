"""The tables of a run's records.

Both sources of the episodes (journal and ClickHouse) build theirs here, so that they cannot differ in form.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pandas as pd

from babyai_kit.hostile_text import visible
from babyai_kit.runs.records import CallRecord, EpisodeRecord, StepRecord

COLUMNS = [f.name for f in dataclasses.fields(EpisodeRecord)]
STEP_COLUMNS = [f.name for f in dataclasses.fields(StepRecord)]
CALL_COLUMNS = [f.name for f in dataclasses.fields(CallRecord)]

# NaN-able figures are float64, so that both sources and all tools treat "unknown" alike.
DTYPES = {
    "num_dists": "int64",
    "seed": "int64",
    "repeat": "int64",
    "history_length": "int64",
    "success": "boolean",
    "episode_return": "float64",
    "episode_length": "int64",
    "max_steps": "int64",
    "shortest_length": "float64",
    "invalid_actions": "int64",
    "input_tokens": "float64",
    "output_tokens": "float64",
    "cost_usd": "float64",
    "wall_s": "float64",
    "cached_tokens": "float64",
    "reasoning_tokens": "float64",
    "calls": "float64",
}

MAX_EXAMPLE = 240
"""Characters of an error's message in an overview."""


def to_frame(records: Iterable[EpisodeRecord]) -> pd.DataFrame:
    """The `episodes` table: COLUMNS with DTYPES, sorted by key, index 0 to n-1."""
    rows = sorted(records, key=lambda r: r.key)
    frame = pd.DataFrame([vars(r) for r in rows], columns=COLUMNS)
    return frame.astype({c: DTYPES.get(c, "object") for c in COLUMNS})


def error_examples(episodes: pd.DataFrame) -> dict[str, str]:
    """Of each kind of error in the table, the most frequent first, the first message, in one short line."""
    errors = episodes[episodes["status"] == "error"]
    kinds = errors["error_kind"].value_counts().index
    return {kind: _short(errors.loc[errors["error_kind"] == kind, "error"].iloc[0], kind) for kind in kinds}


def _short(error: str, kind: str) -> str:
    message = " ".join(visible(error).split()).removeprefix(f"{kind}: ")
    return message if len(message) <= MAX_EXAMPLE else f"{message[:MAX_EXAMPLE]} ..."
