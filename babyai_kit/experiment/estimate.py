"""What a plan will take, said before anything is paid for."""

from __future__ import annotations

from functools import lru_cache

from babyai_kit.configuration.variants import Config
from babyai_kit.environment import make_env
from babyai_kit.experiment.backlog import Backlog
from babyai_kit.experiment.forecast import ANSWER_TOKENS, Forecast
from babyai_kit.runs.plan import Sampling


def forecast_of(config: Config, backlog: Backlog, sampling: Sampling) -> Forecast:
    """The forecast of what `backlog` still owes."""
    left = [(p.key, _step_limit(p.key.task, p.key.num_dists) - len(p.steps)) for p in backlog.owed]
    return Forecast(config, left, sampling.max_tokens)


def announcement(backlog: Backlog, forecast: Forecast, sampling: Sampling) -> str:
    """What is done and what the rest will take, at most and expected, with what the latter assumes."""
    done, rest = len(backlog.done), forecast.rest()
    short, long = ANSWER_TOKENS[False], ANSWER_TOKENS[True]
    return (
        f"{done} of {done + len(backlog.owed)} episodes are done; the rest takes at most {rest.at_most}, if "
        f"every answer takes {sampling.max_tokens:,} tokens.\n"
        f"Expected: {rest.expected.in_tokens}, if an answer takes {short} tokens, or {long} where the prompt "
        "asks for reasoning; a model that reasons by itself takes more."
    )


@lru_cache
def _step_limit(task: str, num_dists: int) -> int:
    env = make_env(task, num_dists=num_dists)
    env.reset(seed=0)
    return env.max_steps
