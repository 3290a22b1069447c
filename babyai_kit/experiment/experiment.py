"""`run_experiment`: a plan, from the checks before the first call to the comparison after the last.

The order of things is here: check, resume, announce, run, reconcile, report. How episodes run at once is
the runner's. A second run of the same name goes on where the first stopped, in the middle of episodes, and
the run returns when its feedback is stored and journal and ClickHouse have been compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd

from babyai_kit.configuration.models import is_free
from babyai_kit.environment import TASKS, make_env
from babyai_kit.errors import InputError, KitError, ServiceError
from babyai_kit.experiment.backlog import Backlog, divide
from babyai_kit.experiment.budget import Budget, Limits
from babyai_kit.experiment.estimate import estimate
from babyai_kit.experiment.options import DEFAULT_MAX_CONCURRENCY, RunOptions
from babyai_kit.experiment.preflight import Preflight, preflight
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.reconciliation import Reconciliation, reconcile
from babyai_kit.experiment.retries import Backoff, retrying
from babyai_kit.experiment.runner import Runner
from babyai_kit.experiment.store_watch import store_watch
from babyai_kit.experiment.workflow_evaluations import Registrar, open_evaluations
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.storage_check import check_storage
from babyai_kit.runs.journal import (
    Journal,
    read_episodes,
    read_manifest,
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
from babyai_kit.runs.records import EpisodeRecord, StepRecord, to_frame


@dataclass(frozen=True)
class Outcome:
    """The result of a command that runs a plan."""

    episodes: pd.DataFrame
    """Rows of this command's plan that are finished."""
    planned: int
    stopped: KitError | None
    """Why the run stopped before its plan was done: the budget or a fatal answer."""
    reconciliation: Reconciliation | None
    """None if ClickHouse could not be asked."""
    unasked_reasoning: Mapping[str, int]
    """Answers that reason though their variant's prompt does not ask for it, by variant."""

    @property
    def complete(self) -> bool:
        """True when every planned episode is finished without an error."""
        return len(self.episodes) == self.planned and bool((self.episodes["status"] == "ok").all())


async def run_experiment(
    session: Session,
    run: str,
    variants: Iterable[str] = DEFAULT_VARIANTS,
    tasks: Iterable[str] = TASKS,
    seeds: Iterable[int] = DEFAULT_SEEDS,
    *,
    num_dists: int = 0,
    repeats: int = 1,
    history_length: int = DEFAULT_HISTORY_LENGTH,
    temperature: float | None = None,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    call_seeds: bool = True,
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
    max_cost_usd: float | None = None,
    max_tokens_total: int | None = None,
    workflow_evaluation: bool | None = None,
    shard: tuple[int, int] | None = None,
    results: str | Path = "results",
    progress: bool = True,
    backoff: Backoff | None = None,
) -> pd.DataFrame:
    """Run every episode of variants x tasks x seeds x repeats that `run` does not hold yet.

    Returns the `episodes` table (see docs/running.md) of this plan. Prints the estimate before, and
    afterwards what the user should know: errors by kind, a budget that ran out, rows that ClickHouse lost.
    `max_concurrency`: calls in flight; fewer while the model server limits the rate. `max_cost_usd` and
    `max_tokens_total` (prompts and answers together): budget of the run, earlier commands included; calls in
    flight when it is reached still finish. `workflow_evaluation`: let the UI compare the variants episode
    by episode; None: if the gateway is reached over HTTP, since each call then reads ClickHouse first.
    `shard` (i, n): every n-th seed from the i-th on. `backoff`: how often a failed call is tried, and after
    which waits.
    Raises InputError for bad input before any call, ServiceError if the model does not answer at all or a
    fatal answer stopped the run (what is done is kept), JournalError if the run cannot be written.
    """
    plan = make_plan(
        session.config,
        run=run,
        variants=variants,
        tasks=tasks,
        seeds=seeds,
        num_dists=num_dists,
        repeats=repeats,
        history_length=history_length,
    )
    options = RunOptions(
        max_concurrency=max_concurrency,
        limits=Limits(max_cost_usd, max_tokens_total),
        workflow_evaluation=workflow_evaluation,
        shard=shard,
        results=results,
        progress=progress,
        backoff=backoff or Backoff(),
    )
    outcome = await execute(session, plan, Sampling(temperature, max_tokens, call_seeds), options)
    if isinstance(outcome.stopped, ServiceError):
        raise outcome.stopped
    return outcome.episodes


async def execute(session: Session, plan: Plan, sampling: Sampling, options: RunOptions) -> Outcome:
    """`run_experiment` for a checked plan; the outcome says if a budget or a fatal answer stopped it."""
    sampling.check()
    if options.limits.max_cost_usd is not None and session.price is None:
        raise InputError(
            f"max_cost_usd needs a price, and {session.settings.model!r} has none; add it to "
            "config/prices.json or leave the budget out"
        )
    backoff = options.backoff
    config = session.config
    keys = plan.keys({name: variant.model for name, variant in config.variants.items()}, options.shard)
    folder = run_folder(options.results, plan.run, options.shard)
    manifest = manifest_for(read_manifest(folder), plan, sampling, config, session.settings)
    with Journal(folder) as journal:
        episodes, steps, registered = read_episodes(folder), read_steps(folder), read_registrations(folder)
        divided = partial(
            divide,
            keys=keys,
            episodes=episodes,
            steps=steps,
            registered=registered,
            run_id=manifest.run_id,
            new_episode_id=session.new_episode_id,
        )
        backlog = divided(config.asked_in(manifest.dialects))
        checked = Preflight(dialects=manifest.dialects)
        if backlog.owed:
            print(_announcement(session, backlog))
            # Before anything is paid for.
            await retrying(backoff)(check_storage, session)
            checked = await preflight(
                session, plan.variants, sampling, backoff, recorded=manifest.dialects, say=print
            )
            for note in checked.notes:
                print(note)
            # The digests say how a model is asked, which for a new one is known only now.
            backlog = divided(config.asked_in(checked.dialects))
        manifest = manifest.asked_in(checked.dialects, config.asked_in(checked.dialects))
        registrar, evaluated = None, options.workflow_evaluation
        if evaluated is None:
            evaluated = not session.embedded
        if evaluated:
            ids = await open_evaluations(session, backlog.owed, manifest, backoff, _print_wait)
            manifest = replace(manifest, workflow_runs=ids)
            registrar = Registrar(session, journal, ids, backoff)
        journal.write_manifest(manifest)
        with Progress(len(keys), backlog.done, show=options.progress and bool(backlog.owed)) as bar:
            runner = Runner(
                session,
                journal,
                bar,
                run_id=manifest.run_id,
                sampling=sampling,
                preflight=checked,
                max_concurrency=options.max_concurrency,
                budget=Budget(
                    options.limits,
                    (step for episode in steps.values() for step in episode),
                    free=is_free(session.settings.model),
                ),
                backoff=backoff,
                registrar=registrar,
            )
            async with store_watch(session, bar.say):
                await runner.all(backlog.owed)
        records = backlog.done + runner.ended
        answered = [step for episode in read_steps(folder).values() for step in episode]
        reconciliation = await _reconciliation(session, manifest, answered, records)
        if reconciliation:
            journal.write_reconciliation(reconciliation.as_json())
    silent = {variant for variant in plan.variants if not config.variants[variant].asks_reasoning}
    outcome = Outcome(
        episodes=to_frame(records),
        planned=len(keys),
        stopped=runner.stopped,
        reconciliation=reconciliation,
        unasked_reasoning=Counter(s.variant for s in answered if s.thinking and s.variant in silent),
    )
    for note in _notes(outcome):
        print(note)
    return outcome


def _announcement(session: Session, backlog: Backlog) -> str:
    planned = len(backlog.done) + len(backlog.owed)
    left = [(p.key, _step_limit(p.key.task, p.key.num_dists) - len(p.steps)) for p in backlog.owed]
    bound = estimate(session.config, left, session.price)
    return f"{len(backlog.done)} of {planned} episodes are done; the rest takes {bound}."


def _print_wait(error: ServiceError) -> None:
    print(f"Waiting before the first call: {error}")


async def _reconciliation(
    session: Session, manifest: Manifest, steps: Sequence[StepRecord], records: Sequence[EpisodeRecord]
) -> Reconciliation | None:
    try:
        return await reconcile(session, manifest.run_ids, steps, records)
    except ServiceError as error:
        print(f"Not compared with ClickHouse: {error}")
        return None


def _notes(outcome: Outcome) -> list[str]:
    """What the table alone does not show, a line each."""
    notes = [f"Stopped: {outcome.stopped}"] if outcome.stopped else []
    unfinished = outcome.planned - len(outcome.episodes)
    if unfinished:
        notes.append(
            f"{unfinished} of {outcome.planned} episodes are unfinished; the same command continues them."
        )
    kinds = Counter(outcome.episodes["error_kind"].dropna())
    if kinds:
        counts = ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common())
        notes.append(
            f"{kinds.total()} episodes ended by an error, not by the agent ({counts}); run again to retry "
            "them."
        )
    for variant, count in outcome.unasked_reasoning.items():
        notes.append(f"{count} answers of {variant} contain reasoning, which its prompt does not ask for.")
    if outcome.reconciliation and not outcome.reconciliation.clean:
        notes.append(
            f"ClickHouse differs from the journal: {outcome.reconciliation}. The journal is whole; "
            "`python -m babyai_kit reconcile RUN` names the episodes."
        )
    return notes


@lru_cache
def _step_limit(task: str, num_dists: int) -> int:
    env = make_env(task, num_dists=num_dists)
    env.reset(seed=0)
    return env.max_steps
