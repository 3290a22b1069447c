"""Where a trajectory was recorded, and what can be said of one that is not whole or does not replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from babyai_kit.errors import JournalError, ReplayError

ENVIRONMENT = ("minigrid", "gymnasium", "babyai-kit")
"""Packages that decide what an episode looks like."""


@dataclass(frozen=True)
class Provenance:
    """The run that recorded a trajectory."""

    steps: Path = Path("steps.jsonl")
    """Its file of steps."""
    versions: Mapping[str, str | None] = field(default_factory=dict)
    """Of the packages that recorded it, as far as they are known."""

    def lost(self, missing: Sequence[int], episode: str, *, all_lost: bool) -> JournalError:
        """The error for an episode whose steps `missing` have no line any more."""
        again = "" if all_lost else ", or run the same command again, which plays the episode on from there"
        return JournalError(
            f"{self.steps} has no line for step {_ranges(missing)} of {episode}; restore the file{again}"
        )

    def unlike(self, error: ReplayError, line: int | None) -> JournalError:
        """`error` with what is known of its cause; `line`: of the file."""
        where = f"at line {line} of {self.steps}" if line else f"in {self.steps}"
        others = [
            f"{name} {recorded} recorded it and {installed} is installed"
            for name in ENVIRONMENT
            if (recorded := self.versions.get(name)) and recorded != (installed := _version(name))
        ]
        if others:
            cause = f"{', '.join(others)}; install that version, or use a new run name"
        else:
            cause = (
                "that line or one of this episode before it was changed; restore the file, or delete the "
                "episode's lines from there on and run the same command again"
            )
        return JournalError(f"{error.what} {where}; {cause}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _ranges(numbers: Sequence[int]) -> str:
    """`0, 3 to 5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs)
