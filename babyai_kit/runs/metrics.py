"""An episode's outcome as TensorZero metrics and tags, and back.

A float metric may be stored in single precision, so the exact row goes along as tags of one metric's feedback
and is read back from there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from babyai_kit.runs.records import EpisodeRecord, from_json

CARRIER = "success"
"""The metric whose tags hold the whole row."""

CURATED = "curated"
"""The metric of episodes that were chosen for fine-tuning."""

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
