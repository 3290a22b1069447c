"""What is said before anything is paid for: what a plan will take, and which of its models leave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache

from babyai_kit.configuration.retirements import warning
from babyai_kit.configuration.served_models import Model, named_in
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config
from babyai_kit.environment import MAX_STEPS, make_env
from babyai_kit.experiment.backlog import Backlog
from babyai_kit.experiment.forecast import ANSWER_TOKENS, Amount, Forecast
from babyai_kit.runs.plan import Sampling
from babyai_kit.terminal_text import aligned, wrapped


def forecast_of(config: Config, backlog: Backlog, sampling: Sampling) -> Forecast:
    """The forecast of what `backlog` still owes."""
    left = [(p.key, _step_limit(p.key.task, p.key.seed) - len(p.steps)) for p in backlog.owed]
    return Forecast(config, left, sampling.max_tokens)


def announcement(backlog: Backlog, forecast: Forecast, sampling: Sampling) -> str:
    """What is done and what the rest will take, expected and at most, with what both assume.

    In lines for a terminal of 80 columns.
    """
    done, rest = len(backlog.done), forecast.rest()
    short, long = ANSWER_TOKENS[False], ANSWER_TOKENS[True]
    assumed = (
        f"Expected: {short} tokens an answer, {long} where the prompt asks for reasoning; more if the model "
        f"reasons by itself. At most: {sampling.max_tokens:,} tokens an answer, every episode up to its step "
        "limit."
    )
    return "\n".join(
        [
            f"{done:,} of {done + len(backlog.owed):,} episodes are done; the rest takes:",
            *_table({"expected": rest.expected, "at most": rest.at_most}),
            *wrapped(assumed),
        ]
    )


def retirement_notes(models: Iterable[Model], settings: Settings) -> Iterator[str]:
    """A line for each model that leaves its provider, or has left it."""
    today = datetime.now(timezone.utc).date()
    for model in models:
        line = warning(
            model.served_name,
            today,
            provider=model.provider,
            base_url=model.base_url,
            named_in=named_in(model.name, settings),
        )
        if line and not model.on_this_machine:
            yield f"Note: {line}."


def _table(amounts: Mapping[str, Amount]) -> list[str]:
    """A line for each of `amounts` below a line of headings, the numbers aligned at the right."""
    rows = [("", "calls", "tokens in", "tokens out", "cost")]
    for name, amount in amounts.items():
        tokens = f"{amount.input_tokens:,.0f}", f"{amount.output_tokens:,.0f}"
        rows.append((name, f"{amount.calls:,.0f}", *tokens, amount.cost))
    return aligned(rows)


@lru_cache(maxsize=10_000)
def _step_limit(task: str, seed: int) -> int:
    """Steps; a level of several rooms may allow more for a longer mission, which its seed decides."""
    if task in MAX_STEPS:
        return MAX_STEPS[task]
    env = make_env(task)
    env.reset(seed=seed)
    return env.max_steps
