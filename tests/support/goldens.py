"""The recorded episodes of BALROG, as the tests read them. What they hold: tests/goldens/README.md."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).resolve().parent.parent / "goldens"
EPISODES = (
    "public_nd0",
    "public_nd8",
    "public_interact_nd0",
    "public_interact_nd8",
    "public_scripted",
)


def records(name: str) -> Iterator[dict[str, Any]]:
    """The records of a file, in order."""
    with gzip.open(GOLDENS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def picture_hash(picture: np.ndarray) -> str:
    """As the recordings hash pictures: SHA-256 of the RGB bytes, row by row."""
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()
