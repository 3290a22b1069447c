"""The lanes of a run: one for each model, with the run's budget, which all share, and one of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from babyai_kit.configuration.models import is_free
from babyai_kit.experiment.budget import Budget
from babyai_kit.experiment.lane import Lane
from babyai_kit.experiment.options import RunOptions
from babyai_kit.experiment.pace import Pace
from babyai_kit.runs.records import CallRecord, StepRecord


def make_lanes(
    models: Collection[str],
    options: RunOptions,
    *,
    usual_rate: float | None,
    max_tokens: int,
    before: Sequence[StepRecord | CallRecord],
    say: Callable[[str], None],
    chats: Collection[str] = (),
) -> dict[str, Lane]:
    """A lane by the name of each of `models`.

    `usual_rate`: starts of calls a minute where `options` say nothing. `max_tokens`: the limit of an answer.
    `before`: the calls that earlier commands paid for. `say` gets the lines of all, with the model's name if
    there are several. `chats`: the variants that are agents of Python code.
    """
    free = list(filter(is_free, models))
    of_run = Budget(options.limits, before, free=free)
    return {
        name: Lane(
            name,
            max_concurrency=options.calls_of(name),
            backoff=options.backoff,
            pace=Pace(options.rate_of(name) or usual_rate, options.backoff),
            budgets=(of_run, Budget(options.limits, before, free=free, model=name)),
            say=say if len(models) == 1 else partial(_say_of, name, say),
            stop_after_invalid=options.stop_after_invalid,
            max_tokens=max_tokens,
            chats=chats,
        )
        for name in models
    }


def _say_of(model: str, say: Callable[[str], None], line: str) -> None:
    say(f"{model}: {line}")
