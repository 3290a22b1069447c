"""`run_experiment`: a plan and its options, checked and carried out, and the table of its episodes.

A second run of the same name goes on where the first stopped, in the middle of episodes, and the run returns
when its feedback is stored and journal and ClickHouse have been compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.agents.registry import AgentSpec, as_variant, find_agent
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.environment.suites import tasks_and_distractors
from babyai_kit.errors import BudgetReached
from babyai_kit.experiment.answer_watch import DEFAULT_STOP_AFTER
from babyai_kit.experiment.budget import Limits
from babyai_kit.experiment.execution import execute
from babyai_kit.experiment.options import DEFAULT_MAX_CONCURRENCY, RunOptions
from babyai_kit.experiment.patience import Backoff
from babyai_kit.gateway.session import Session
from babyai_kit.runs.plan import (
    DEFAULT_HISTORY_LENGTH,
    DEFAULT_MAX_TOKENS,
    DEFAULT_SEEDS,
    DEFAULT_VARIANTS,
    Sampling,
    make_plan,
)


async def run_experiment(
    session: Session,
    run: str,
    variants: Iterable[str] | None = None,
    tasks: Iterable[str] | None = None,
    seeds: Iterable[int] = DEFAULT_SEEDS,
    *,
    suite: str | None = None,
    agents: Iterable[str | MakeAgent] = (),
    models: Iterable[str] | None = None,
    num_dists: int | None = None,
    repeats: int = 1,
    history_length: int = DEFAULT_HISTORY_LENGTH,
    temperature: float | None = None,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    call_seeds: bool = True,
    reasoning_effort: str | None = None,
    thinking_budget_tokens: int | None = None,
    max_concurrency: int | Mapping[str, int] = DEFAULT_MAX_CONCURRENCY,
    requests_per_minute: float | Mapping[str, float] | None = None,
    max_cost_usd: float | Mapping[str, float] | None = None,
    max_tokens_total: int | Mapping[str, int] | None = None,
    stop_after_invalid: int = DEFAULT_STOP_AFTER,
    workflow_evaluation: bool | None = None,
    shard: tuple[int, int] | None = None,
    results: StrPath = PROJECT_RESULTS,
    progress: bool = True,
    backoff: Backoff | None = None,
) -> pd.DataFrame:
    """Run every episode of variants and agents x models x tasks x seeds x repeats that `run` lacks.

    Returns the `episodes` table (see docs/running.md) of this plan. Prints the estimate before, and
    afterwards what the user should know: errors by kind, a budget that ran out, rows that ClickHouse lost.
    `suite`: of SUITES (see docs/suites.md), in place of `tasks` and `num_dists`; without these: "balrog".
    `variants`: of `config/`; None: the four of the kit, or none if `agents` are given. `agents`: names,
    `module:Class`, `path/to/file.py:Class`, or classes (see docs/agents.md); their names stand in the column
    `variant` too. `models`: names of config/models.toml, `provider::model`, or what the settings' server
    calls its model; None: those of AGENT_MODELS, else that of the settings. A variant with a model of its
    own, such as a fine-tuned one, is played by that alone. `reasoning_effort` or `thinking_budget_tokens`:
    how long a model that reasons may think; asked without where a server refuses it.
    `max_concurrency`: calls in flight of each model, or a mapping by model; fewer while its server limits the
    rate. `requests_per_minute`: likewise. `max_cost_usd` and `max_tokens_total` (prompts and answers
    together): budget of the run, or a mapping of each model's, earlier commands included; calls in flight
    when it is reached still finish. `workflow_evaluation`: let the UI compare the variants episode
    by episode; None: if the gateway is reached over HTTP, since each call then reads ClickHouse first.
    `shard` (i, n): every n-th seed from the i-th on. `backoff`: how often a failed call is tried, and after
    which waits.
    Raises InputError for bad input before any call, ServiceError if no model answers, JournalError if the run
    cannot be written. What stopped the run, or one of its models while the others played on, is raised at its
    end (ServiceError, NoValidAnswers, InputError); what is done is kept.
    """
    specs = [find_agent(agent) for agent in agents]
    tasks, num_dists = tasks_and_distractors(suite, tasks, num_dists)
    plan = make_plan(
        session.config.with_agents(as_variant(spec, session.settings) for spec in specs),
        run=run,
        variants=with_agents(variants, specs),
        tasks=tasks,
        seeds=seeds,
        num_dists=num_dists,
        repeats=repeats,
        history_length=history_length,
        models=models,
    )
    options = RunOptions(
        max_concurrency=max_concurrency,
        requests_per_minute=requests_per_minute,
        stop_after_invalid=stop_after_invalid,
        limits=Limits(max_cost_usd, max_tokens_total),
        workflow_evaluation=workflow_evaluation,
        shard=shard,
        results=results,
        progress=progress,
        backoff=backoff or Backoff(),
    )
    sampling = Sampling(temperature, max_tokens, call_seeds, reasoning_effort, thinking_budget_tokens)
    outcome = await execute(session, plan, sampling, options, agents=specs)
    if outcome.stopped is not None and not isinstance(outcome.stopped, BudgetReached):
        raise outcome.stopped
    return outcome.episodes


def with_agents(variants: Iterable[str] | None, agents: Sequence[AgentSpec]) -> Iterable[str]:
    """The plan's `variants` (None: those of the kit, or none beside agents) and the names of its `agents`."""
    if isinstance(variants, str):
        return variants  # which `make_plan` refuses
    chosen = DEFAULT_VARIANTS if variants is None and not agents else variants or ()
    return [*chosen, *(agent.name for agent in agents)]
