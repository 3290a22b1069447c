"""How a plan is carried out. Nothing here changes what is measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError, unknown
from babyai_kit.experiment.answer_watch import DEFAULT_STOP_AFTER
from babyai_kit.experiment.budget import Limits
from babyai_kit.experiment.patience import Backoff

DEFAULT_MAX_CONCURRENCY = 50


@dataclass(frozen=True)
class RunOptions:
    """Options of one command. Raises InputError for one that is out of range."""

    max_concurrency: int | Mapping[str, int] = DEFAULT_MAX_CONCURRENCY
    """Calls in flight of each model, or by model; fewer while its server limits the rate."""
    requests_per_minute: float | Mapping[str, float] | None = None
    """Starts of calls of each model, or by model, evenly spaced, retries included; None: as the settings say,
    else any number."""
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
        for calls in _values(self.max_concurrency):
            if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
                raise InputError(f"max_concurrency {calls!r} is not valid; use a whole number of at least 1")
        for rate in _values(self.requests_per_minute):
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

    def calls_of(self, model: str) -> int:
        """Calls of `model` that may be in flight."""
        calls = self.max_concurrency
        return calls.get(model, DEFAULT_MAX_CONCURRENCY) if isinstance(calls, Mapping) else calls

    def rate_of(self, model: str) -> float | None:
        """Calls of `model` that may start in a minute."""
        rate = self.requests_per_minute
        return rate.get(model) if isinstance(rate, Mapping) else rate

    def check_models(self, models: Collection[str]) -> None:
        """Raises InputError if an option names a model that is none of the plan's."""
        for name, by_model in (
            ("max_concurrency", self.max_concurrency),
            ("requests_per_minute", self.requests_per_minute),
            ("max_cost_usd", self.limits.max_cost_usd),
            ("max_tokens_total", self.limits.max_tokens_total),
        ):
            for model in by_model if isinstance(by_model, Mapping) else ():
                if model not in models:
                    raise InputError(f"{name}: {unknown('model of the plan', model, models)}")


def _values(by_model: Any) -> list[Any]:
    return list(by_model.values()) if isinstance(by_model, Mapping) else [by_model]
