"""How a plan is carried out. Nothing here changes what is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from babyai_kit.errors import InputError
from babyai_kit.experiment.budget import Limits
from babyai_kit.experiment.retries import Backoff

DEFAULT_MAX_CONCURRENCY = 50


@dataclass(frozen=True)
class RunOptions:
    """Options of one command. Raises InputError for one that is out of range."""

    max_concurrency: int = DEFAULT_MAX_CONCURRENCY
    """Calls in flight; fewer while the model server limits the rate."""
    limits: Limits = field(default_factory=Limits)
    """Budget of the run, earlier commands included."""
    workflow_evaluation: bool | None = None
    """Let the UI compare the variants; None: if the gateway is reached over HTTP."""
    shard: tuple[int, int] | None = None
    """(i, n): every n-th seed from the i-th on."""
    results: str | Path = "results"
    progress: bool = True
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        calls = self.max_concurrency
        if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
            raise InputError(f"max_concurrency {calls!r} is not valid; use a whole number of at least 1")
        if self.shard is not None:
            index, count = self.shard
            if not 0 <= index < count:
                raise InputError(f"shard {index}/{count} is not valid; use i/n with 0 <= i < n")
