"""`run_experiment`: a plan, from the checks before the first call to the comparison after the last.

The order of things is here: check, resume, announce, run, reconcile, report. How episodes run at once is
the runner's. A second run of the same name goes on where the first stopped, in the middle of episodes, and
the run returns when its feedback is stored and journal and ClickHouse have been compared.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial

import pandas as pd

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.agents.registry import AgentSpec, as_variant, find_agent
from babyai_kit.configuration.models import DEFAULT_MODEL, is_free
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.configuration.retirements import warning
from babyai_kit.configuration.served_models import Model
from babyai_kit.configuration.variants import Config
from babyai_kit.environment.suites import tasks_and_distractors
from babyai_kit.errors import InputError, NoValidAnswers, ReplayError, ServiceError, show_in_one_line
from babyai_kit.experiment.answer_watch import DEFAULT_STOP_AFTER
from babyai_kit.experiment.backlog import divide
from babyai_kit.experiment.budget import Budget, Limits
from babyai_kit.experiment.episode import PlannedEpisode
from babyai_kit.experiment.estimate import announcement, forecast_of
from babyai_kit.experiment.lane import Lane
from babyai_kit.experiment.open_files import ensure_open_files
from babyai_kit.experiment.options import DEFAULT_MAX_CONCURRENCY, RunOptions
from babyai_kit.experiment.outcome import Outcome, closing_notes, invalid_answers
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff
from babyai_kit.experiment.preflight import Preflight, preflight
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.reconciliation import Reconciliation, reconcile
from babyai_kit.experiment.retries import retrying
from babyai_kit.experiment.runner import Runner
from babyai_kit.experiment.spent import spent
from babyai_kit.experiment.store_watch import store_watch
from babyai_kit.experiment.workflow_evaluations import Registrar, open_evaluations, show_comparison
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.storage_check import check_storage
from babyai_kit.runs.commands import command_line
from babyai_kit.runs.journal import (
    Journal,
    read_calls,
    read_episodes,
    read_manifest,
    read_reconciliation,
    read_registrations,
    read_steps,
    run_folder,
)
from babyai_kit.runs.manifest import Manifest, manifest_for
from babyai_kit.runs.plan import (
    DEFAULT_HISTORY_LENGTH,
    DEFAULT_MAX_TOKENS,
    DEFAULT_SEEDS,
    DEFAULT_VARIANTS,
    Plan,
    Sampling,
    make_plan,
)
from babyai_kit.runs.plan_text import held_plans_note
from babyai_kit.runs.records import CallRecord, EpisodeRecord, StepRecord, answered_calls, to_frame
from babyai_kit.runs.trajectories import located


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
    Raises InputError for bad input before any call, ServiceError if the model does not answer at all or a
    fatal answer stopped the run (what is done is kept), JournalError if the run cannot be written.
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
    if isinstance(outcome.stopped, (ServiceError, NoValidAnswers)):
        raise outcome.stopped
    return outcome.episodes


def with_agents(variants: Iterable[str] | None, agents: Sequence[AgentSpec]) -> Iterable[str]:
    """The plan's `variants` (None: those of the kit, or none beside agents) and the names of its `agents`."""
    if isinstance(variants, str):
        return variants  # which `make_plan` refuses
    chosen = DEFAULT_VARIANTS if variants is None and not agents else variants or ()
    return [*chosen, *(agent.name for agent in agents)]


async def execute(
    session: Session,
    plan: Plan,
    sampling: Sampling,
    options: RunOptions,
    *,
    agents: Sequence[AgentSpec] = (),
) -> Outcome:
    """`run_experiment` for a checked plan; the outcome says if a budget or a fatal answer stopped it.

    `agents`: those of the plan that are no variants of `config/`.
    """
    sampling.check()
    backoff, specs = options.backoff, {spec.name: spec for spec in agents}
    config = session.config.with_agents(as_variant(spec, session.settings) for spec in agents)
    players = config.agents(plan.variants, plan.models)
    models = {player.model.name: player.model for player in players}
    options.check_models(models)
    check_prices(config, models.values(), options.limits)
    session.reconcile_line = command_line("reconcile", plan.run, results=options.results)
    folder = run_folder(options.results, plan.run, options.shard)
    before = read_manifest(folder)
    manifest = manifest_for(before, plan, sampling, config, session.settings)
    if before and (note := held_plans_note(plan, before.plans)):
        print(note)
    keys = plan.keys(manifest.own_models, options.shard, without_history=manifest.without_history)
    with Journal(folder) as journal:
        episodes, steps, registered = read_episodes(folder), read_steps(folder), read_registrations(folder)
        calls = read_calls(folder)
        divided = partial(
            divide,
            keys=keys,
            episodes=episodes,
            steps=steps,
            calls=calls,
            registered=registered,
            run_id=manifest.run_id,
            history_length=plan.history_length,
            new_episode_id=session.new_episode_id,
            served_as={player.pair: player.served_as for player in players if player.added},
        )
        backlog = divided(config.asked_in(manifest.dialects))
        checked = Preflight(dialects=manifest.dialects)
        usual_rate = session.settings.requests_per_minute
        paces = {name: Pace(options.rate_of(name) or usual_rate, backoff) for name in models}
        forecast = forecast_of(config, backlog, sampling)
        most = sum(options.calls_of(name) for name in models)
        ensure_open_files(min(most, len(backlog.owed)), embedded=session.embedded)
        if backlog.owed:
            for line in retirement_notes(models.values()):
                print(line)
            print(announcement(backlog, forecast, sampling))
            await session.serve([asked for player in players for asked in config.asked_by(player)])
            # Before anything is paid for.
            await retrying(backoff)(check_storage, session)
            owed = {(planned.key.variant, planned.key.model) for planned in backlog.owed}
            asked = [a for player in players if player.pair in owed for a in config.asked_by(player)]
            checked = await preflight(
                session, asked, sampling, backoff, recorded=manifest.dialects, say=print, paces=paces
            )
            for note in checked.notes:
                print(note)
            # The digests say how a model is asked, which for a new one is known only now.
            backlog = divided(config.asked_in(checked.dialects))
            forecast = forecast_of(config, backlog, sampling)
        else:
            print(f"{len(keys):,} of {len(keys):,} done, nothing to run.")
        manifest = manifest.asked_in(checked.dialects, config.asked_in(checked.dialects))
        registrar, evaluated = None, options.workflow_evaluation
        if evaluated is None:
            evaluated = not session.embedded
        if evaluated:
            ids = await open_evaluations(session, backlog.owed, manifest, retrying(backoff), chats=specs)
            manifest = replace(manifest, workflow_runs=ids)
            registrar = Registrar(session, journal, manifest)
        journal.write_manifest(manifest)
        show = options.progress and bool(backlog.owed)
        earlier = [step for record in backlog.done for step in steps.get(record.episode_id, ())]
        earlier += [step for planned in backlog.owed for step in planned.steps]
        with Progress(len(keys), backlog.done, forecast, show=show, before=spent(earlier)) as bar:
            before_calls = answered_calls(steps, calls)
            free = list(filter(is_free, models))
            of_run = Budget(options.limits, before_calls, free=free)
            lanes = {
                name: Lane(
                    name,
                    dialect=checked.dialect(name),
                    max_concurrency=options.calls_of(name),
                    backoff=backoff,
                    pace=paces[name],
                    budgets=(of_run, Budget(options.limits, before_calls, free=free, model=name)),
                    say=bar.say if len(models) == 1 else partial(_say_of, name, bar.say),
                    stop_after_invalid=options.stop_after_invalid,
                    max_tokens=sampling.max_tokens,
                )
                for name in models
            }
            bar.watch(lanes)
            runner = Runner(
                session,
                journal,
                bar,
                run_id=manifest.run_id,
                sampling=sampling,
                lanes=lanes,
                agents={name: spec.make for name, spec in specs.items()},
                new_episode=partial(_anew, session),
                registrar=registrar,
            )
            async with store_watch(session, bar.say):
                try:
                    await runner.all(backlog.owed)
                except (asyncio.CancelledError, KeyboardInterrupt) as stop:
                    done = len(backlog.done) + sum(record.status == "ok" for record in runner.ended)
                    show_in_one_line(
                        stop,
                        f"Interrupted: {done:,} of {len(keys):,} episodes of {plan.run!r} are done. Run this "
                        "again to go on where it stopped.",
                    )
                    raise
                except ReplayError as error:
                    raise located(error, folder, before.versions if before else {}) from None
        records = backlog.done + runner.ended
        steps = read_steps(folder)
        answered = [step for episode in steps.values() for step in episode]
        compared = read_reconciliation(folder)
        recorded = answered_calls(steps, read_calls(folder))
        reconciliation = await _reconciliation(session, manifest, recorded, records)
        if reconciliation:
            journal.write_reconciliation(reconciliation.as_json())
    present = [s for s in answered if manifest.is_present(s.variant, s.model, s.variant_digest)]
    silent = {variant for variant in plan.variants if not config.variants[variant].asks_reasoning}
    outcome = Outcome(
        episodes=to_frame(records),
        planned=len(keys),
        stops=runner.stops,
        reconciliation=reconciliation,
        invalid=invalid_answers(present),
        unasked_reasoning=Counter(s.variant for s in answered if s.thinking and s.variant in silent),
    )
    for note in dict.fromkeys(runner.begun_anew):
        print(f"Begun anew, since an agent does not repeat what it did: {note}.")
    for note in closing_notes(outcome, compared, session.reconcile_line):
        print(note)
    if evaluated:
        show_comparison(manifest, session.settings.ui_url)
    return outcome


def retirement_notes(models: Iterable[Model]) -> Iterator[str]:
    """A line for each model that leaves its provider, or has left it."""
    today = datetime.now(timezone.utc).date()
    for model in models:
        usual = f"set AGENT_MODEL={DEFAULT_MODEL}"
        line = warning(
            model.served_name,
            today,
            provider=model.provider,
            base_url=model.base_url,
            remedy="choose another model" if model.definition else usual,
        )
        if line and not model.on_this_machine:
            yield f"Note: {line}."


def check_prices(config: Config, models: Iterable[Model], limits: Limits) -> None:
    """Raises InputError for a budget in dollars over a model without a price."""
    for model in models:
        limited = (
            limits.of_run().max_cost_usd is not None or limits.of_model(model.name).max_cost_usd is not None
        )
        if limited and config.price_of(model) is None:
            raise InputError(
                f"max_cost_usd needs a price, and {model.name!r} has none; add it to config/prices.json or "
                "leave the budget out"
            )


def _anew(session: Session, planned: PlannedEpisode) -> PlannedEpisode:
    return replace(planned, episode_id=session.new_episode_id(), steps=(), calls=(), registered=False)


def _say_of(model: str, say: Callable[[str], None], line: str) -> None:
    say(f"{model}: {line}")


async def _reconciliation(
    session: Session,
    manifest: Manifest,
    steps: Sequence[StepRecord | CallRecord],
    records: Sequence[EpisodeRecord],
) -> Reconciliation | None:
    try:
        return await reconcile(session, manifest.run_ids, steps, records)
    except ServiceError as error:
        print(f"Not compared with ClickHouse: {error}")
        return None
