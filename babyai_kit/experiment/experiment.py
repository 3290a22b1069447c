"""`run_experiment`: a plan, from the checks before the first call to the comparison after the last.

Knows the order of things: check, resume, announce, run, reconcile, tell. How episodes run at once is the
runner's. A second run of the same name goes on where the first stopped, in the middle of episodes, and
the run returns when its feedback is stored and journal and ClickHouse have been compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from babyai_kit.configuration.models import is_free
from babyai_kit.environment import TASKS, make_env
from babyai_kit.errors import InputError, KitError, ServiceError
from babyai_kit.experiment.backlog import Backlog, divide
from babyai_kit.experiment.budget import Budget, Limits
from babyai_kit.experiment.estimate import estimate
from babyai_kit.experiment.preflight import preflight
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.reconciliation import Reconciliation, reconcile
from babyai_kit.experiment.runner import Runner
from babyai_kit.experiment.store_watch import store_watch
from babyai_kit.experiment.workflow_evaluations import Registrar, open_evaluations
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import (
    Journal,
    read_episodes,
    read_registrations,
    read_run,
    read_steps,
    run_folder,
)
from babyai_kit.runs.manifest import make_manifest, run_ids
from babyai_kit.runs.plan import DEFAULT_SEEDS, DEFAULT_VARIANTS, Plan, Sampling, make_plan, make_sampling
from babyai_kit.runs.records import EpisodeRecord, StepRecord, to_frame


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

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
    history_length: int = 8,
    temperature: float | None = None,
    max_tokens: int = 1024,
    call_seeds: bool = True,
    max_concurrency: int = 50,
    max_cost_usd: float | None = None,
    max_tokens_total: int | None = None,
    workflow_evaluation: bool | None = None,
    shard: tuple[int, int] | None = None,
    results: str | Path = "results",
    progress: bool = True,
) -> pd.DataFrame:
    """Run every episode of variants x tasks x seeds x repeats that `run` does not hold yet.

    Returns the `episodes` table (see README) of this plan. Prints the estimate before, and afterwards
    whatever the user should know: errors by kind, a budget that ran out, rows that ClickHouse lost.
    `max_concurrency`: calls in flight; fewer while the model server limits the rate. `max_cost_usd` and
    `max_tokens_total` (prompts and answers together): budget of the run, earlier commands included; calls in
    flight when it is reached still finish. `workflow_evaluation`: let the UI compare the variants episode
    by episode; None: if the gateway is reached over HTTP, since each call then reads ClickHouse first.
    `shard` (i, n): every n-th seed from the i-th on.
    Raises InputError for bad input before any call, ServiceError if the model does not answer at all or a
    fatal answer stopped the run (what is done is kept), JournalError if the run cannot be written.
    """
    outcome = await execute(
        session,
        make_plan(
            session.config,
            run=run,
            variants=variants,
            tasks=tasks,
            seeds=seeds,
            num_dists=num_dists,
            repeats=repeats,
            history_length=history_length,
        ),
        make_sampling(temperature, max_tokens, call_seeds),
        max_concurrency=max_concurrency,
        max_cost_usd=max_cost_usd,
        max_tokens_total=max_tokens_total,
        workflow_evaluation=workflow_evaluation,
        shard=shard,
        results=results,
        progress=progress,
    )
    if isinstance(outcome.stopped, ServiceError):
        raise outcome.stopped
    return outcome.episodes


async def execute(
    session: Session,
    plan: Plan,
    sampling: Sampling,
    *,
    max_concurrency: int = 50,
    max_cost_usd: float | None = None,
    max_tokens_total: int | None = None,
    workflow_evaluation: bool | None = None,
    shard: tuple[int, int] | None = None,
    results: str | Path = "results",
    progress: bool = True,
) -> Outcome:
    """`run_experiment` for a checked plan; a budget or a fatal answer is told in the outcome."""
    limits = Limits(max_cost_usd, max_tokens_total)
    _check(session, max_concurrency, limits, shard)
    keys = plan.keys(session.config, shard)
    folder = run_folder(results, plan.run, shard)
    manifest = make_manifest(read_run(folder), plan, sampling, session.config, session.settings)
    with Journal(folder) as journal:
        steps = read_steps(folder)
        backlog = divide(
            session.config,
            keys,
            read_episodes(folder),
            steps,
            read_registrations(folder),
            run_id=manifest["run_id"],
            new_episode_id=session.new_episode_id,
        )
        if backlog.owed:
            print(_announce(session, backlog))
            for note in await preflight(session, plan.variants, sampling):
                print(note)
        evaluated = not session.embedded if workflow_evaluation is None else workflow_evaluation
        evaluations = await open_evaluations(session, backlog.owed, manifest, _waits) if evaluated else {}
        journal.write_run(manifest)
        with Progress(len(keys), backlog.done, show=progress and bool(backlog.owed)) as bar:
            runner = Runner(
                session,
                journal,
                bar,
                run_id=manifest["run_id"],
                sampling=sampling,
                max_concurrency=max_concurrency,
                budget=Budget(
                    limits,
                    (s for episode in steps.values() for s in episode),
                    free=is_free(session.settings.model),
                ),
                registrar=Registrar(session, journal, evaluations) if evaluations else None,
            )
            async with store_watch(session, bar.say):
                await runner.all(backlog.owed)
        records = backlog.done + runner.ended
        answered = [s for episode in read_steps(folder).values() for s in episode]
        silent = {v for v in plan.variants if not session.config.variants[v].asks_reasoning}
        unasked = Counter(s.variant for s in answered if s.thinking and s.variant in silent)
        found = await _compare(session, run_ids(manifest), answered, records)
        if found:
            journal.write_reconciliation(found.as_json())
    outcome = Outcome(to_frame(records), len(keys), runner.stopped, found, unasked)
    _tell(outcome)
    return outcome


def _announce(session: Session, backlog: Backlog) -> str:
    planned = len(backlog.done) + len(backlog.owed)
    left = [(p.key, _step_limit(p.key.task, p.key.num_dists) - len(p.steps)) for p in backlog.owed]
    bound = estimate(session.config, left, session.price)
    return f"{len(backlog.done)} of {planned} episodes are done; the rest takes {bound}."


def _waits(error: ServiceError) -> None:
    print(f"Waiting before the first call: {error}")


async def _compare(
    session: Session, ids: list[str], steps: list[StepRecord], records: list[EpisodeRecord]
) -> Reconciliation | None:
    try:
        return await reconcile(session, ids, steps, records)
    except ServiceError as error:
        print(f"Not compared with ClickHouse: {error}")
        return None


def _tell(outcome: Outcome) -> None:
    """Say what the table alone does not."""
    if outcome.stopped:
        print(f"Stopped: {outcome.stopped}")
    unfinished = outcome.planned - len(outcome.episodes)
    if unfinished:
        print(
            f"{unfinished} of {outcome.planned} episodes are unfinished; the same command goes on with them."
        )
    errors = outcome.episodes.loc[outcome.episodes["status"] == "error", "error"]
    kinds = Counter(str(error).split(":")[0] for error in errors)
    if kinds:
        counts = ", ".join(f"{kind}: {n}" for kind, n in kinds.most_common())
        print(
            f"{len(errors)} episodes ended by an error, not by the agent ({counts}); run again to retry them."
        )
    for variant, count in outcome.unasked_reasoning.items():
        print(f"{count} answers of {variant} reason, which its prompt does not ask for.")
    if outcome.reconciliation and not outcome.reconciliation.clean:
        print(
            f"ClickHouse differs from the journal: {outcome.reconciliation}. The journal is whole; "
            "`python -m babyai_kit reconcile RUN` names the episodes."
        )


def _check(
    session: Session,
    max_concurrency: int,
    limits: Limits,
    shard: tuple[int, int] | None,
) -> None:
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
        raise InputError(
            f"max_concurrency {max_concurrency!r} is not valid; use a whole number of at least 1"
        )
    if limits.max_cost_usd is not None and session.price is None:
        raise InputError(
            f"max_cost_usd needs a price, and {session.settings.model!r} has none; add it to "
            "config/prices.json or leave the budget out"
        )
    if shard is not None and not (shard[1] >= 1 and 0 <= shard[0] < shard[1]):
        raise InputError(f"shard {shard[0]}/{shard[1]} is not valid; use i/n with 0 <= i < n")


@lru_cache
def _step_limit(task: str, num_dists: int) -> int:
    env = make_env(task, num_dists=num_dists)
    env.reset(seed=0)
    return env.max_steps
