"""How a plan is carried out. Nothing here changes what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError
from babyai_kit.experiment.answer_watch import DEFAULT_STOP_AFTER
from babyai_kit.experiment.budget import Limits
from babyai_kit.experiment.patience import Backoff

DEFAULT_MAX_CONCURRENCY = 50


@dataclass(frozen=True)
class RunOptions:
    """Options of one command. Raises InputError for one that is out of range."""

    max_concurrency: int = DEFAULT_MAX_CONCURRENCY
    """Calls in flight; fewer while the model server limits the rate."""
    requests_per_minute: float | None = None
    """Starts of calls, evenly spaced, retries included; None: as the settings say, else any number."""
    limits: Limits = field(default_factory=Limits)
    """Budget of the run, earlier commands included."""
    workflow_evaluation: bool | None = None
    """Let the UI compare the variants; None: if the gateway is reached over HTTP."""
    shard: tuple[int, int] | None = None
    """(i, n): every n-th seed from the i-th on."""
    results: StrPath = PROJECT_RESULTS
    progress: bool = True
    stop_after_invalid: int = DEFAULT_STOP_AFTER
    """Answers of which none is valid that stop the command; 0: it goes on."""
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        calls = self.max_concurrency
        if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
            raise InputError(f"max_concurrency {calls!r} is not valid; use a whole number of at least 1")
        rate = self.requests_per_minute
        if rate is not None and (isinstance(rate, bool) or not 0 < rate < math.inf):
            raise InputError(
                f"requests_per_minute {rate!r} is not valid; use a positive number, or None for no limit"
            )
        invalid = self.stop_after_invalid
        if isinstance(invalid, bool) or not isinstance(invalid, int) or invalid < 0:
            raise InputError(
                f"stop_after_invalid {invalid!r} is not valid; use a whole number, or 0 to go on regardless"
            )
        if self.shard is not None:
            index, count = self.shard
            if not 0 <= index < count:
                raise InputError(f"shard {index}/{count} is not valid; use i/n with 0 <= i < n")
