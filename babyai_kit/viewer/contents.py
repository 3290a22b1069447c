"""What a run holds at one moment, its shards' included."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord

RUNNING_S = 60
"""Seconds after the latest line in which a run that is not complete counts as running."""


@dataclass(frozen=True)
class Begun:
    """An episode that has steps and no row yet."""

    episode_id: str
    key: EpisodeKey
    steps: int


@dataclass(frozen=True)
class Contents:
    """A run as it was read."""

    name: str
    folder: Path
    version: str
    """Another one as soon as anything changed."""
    manifests: tuple[Manifest, ...]
    """Of its parts, as far as they can be read; its own, if it has one, is the first."""
    is_whole: bool
    """False while the run is in shards that were not joined."""
    planned: tuple[EpisodeKey, ...]
    records: dict[EpisodeKey, EpisodeRecord]
    """The finished episodes that were made with the present prompts."""
    begun: dict[EpisodeKey, Begun]
    """The unfinished ones, as far as their steps were found."""
    located: bool
    """Whether all steps were found."""
    damage: tuple[str, ...]
    """What cannot be read, a line each."""
    written: float
    """When its files were last written, in seconds since 1970."""

    @property
    def manifest(self) -> Manifest | None:
        """The run's own or, while it is in shards, the first one's."""
        return self.manifests[0] if self.manifests else None

    @cached_property
    def keys(self) -> tuple[EpisodeKey, ...]:
        """All episodes, in the order of the plan; those that nobody planned come last."""
        return tuple(dict.fromkeys((*self.planned, *self.records, *self.begun)))

    @property
    def owed(self) -> tuple[EpisodeKey, ...]:
        """The planned episodes or, of a run whose plan cannot be read, those that are there."""
        return self.planned or self.keys

    @cached_property
    def finished(self) -> int:
        """Owed episodes with an outcome."""
        return sum(key in self.records and self.records[key].status == "ok" for key in self.owed)

    @cached_property
    def errors(self) -> int:
        """Owed episodes that ended with an error."""
        return sum(key in self.records and self.records[key].status != "ok" for key in self.owed)

    @cached_property
    def failed(self) -> dict[str, EpisodeRecord]:
        """The episodes in which the agent failed, by id, in the order of the plan."""
        records = (self.records.get(key) for key in self.keys)
        return {r.episode_id: r for r in records if r and r.outcome == "failure"}

    def outcome(self, key: EpisodeKey) -> str:
        """`success`, `failure`, `error`, `unfinished` or `planned`."""
        record = self.records.get(key)
        if record is None:
            return "unfinished" if key in self.begun else "planned"
        return record.outcome

    def episode_id(self, key: EpisodeKey) -> str | None:
        """None while the episode has not begun."""
        attempt = self.records.get(key) or self.begun.get(key)
        return attempt.episode_id if attempt else None

    def is_running(self, now: float | None = None) -> bool:
        """Whether somebody seems to write it."""
        age = (time.time() if now is None else now) - self.written
        return age < RUNNING_S and self.finished < len(self.owed)
