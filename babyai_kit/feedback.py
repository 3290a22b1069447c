"""An episode's outcome as TensorZero metrics, and back.

Knows which metrics an episode has and how its row travels: a float metric may be stored in single
precision, so the exact row goes along as tags of the `success` feedback, and is read back from there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from babyai_kit.records import EpisodeRecord, from_json

if TYPE_CHECKING:
    from babyai_kit.session import Session

CARRIER = "success"
"""The metric whose tags hold the whole row."""

_OPTIONAL = {f.name for f in dataclasses.fields(EpisodeRecord) if "None" in str(f.type)}
_TEXT = {f.name for f in dataclasses.fields(EpisodeRecord) if str(f.type).startswith("str")}


def metrics(episode: EpisodeRecord) -> dict[str, bool | float]:
    """Metric values of an episode of status `ok`, as `config/tensorzero.toml` declares them."""
    return {
        "success": bool(episode.success),
        "episode_return": float(episode.episode_return or 0.0),
        "progression": float(bool(episode.success)),
        "episode_length": float(episode.episode_length),
        "invalid_actions": float(episode.invalid_actions),
    }


def to_tags(episode: EpisodeRecord) -> dict[str, str]:
    """The row as strings; unknown (None) fields are left out. Floats keep every digit."""
    return {k: v if k in _TEXT else json.dumps(v) for k, v in vars(episode).items() if v is not None}


def from_tags(tags: Mapping[str, str]) -> EpisodeRecord:
    """The row that `to_tags` wrote. Raises KeyError if the tags are not of a row."""
    row = {
        field.name: tags[field.name] if field.name in _TEXT else json.loads(tags[field.name])
        for field in dataclasses.fields(EpisodeRecord)
        if field.name in tags or field.name not in _OPTIONAL
    }
    return from_json(EpisodeRecord, dict.fromkeys(_OPTIONAL) | row)


async def send_feedback(session: Session, episode: EpisodeRecord, run_id: str) -> None:
    """Send all metrics of a finished episode, concurrently. Raises what `Session.feedback` raises."""
    row = to_tags(episode) | {"run_id": run_id}
    short = {k: row[k] for k in ("run", "run_id", "variant", "task", "seed")}
    await asyncio.gather(
        *(
            session.feedback(name, value, episode.episode_id, row if name == CARRIER else short)
            for name, value in metrics(episode).items()
        )
    )
