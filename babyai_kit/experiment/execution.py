"""A plan carried out, from the checks before the first call to the comparison after the last.

The order of things is here: check, resume, announce, run, conclude. How models join is `admission`, how
episodes run at once is the runner's, and how a command ends is `conclusion`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from babyai_kit.agents.registry import AgentSpec, as_variant
from babyai_kit.configuration.variants import Agent, Config
from babyai_kit.errors import ReplayError, show_in_one_line
from babyai_kit.experiment.admission import Admission
from babyai_kit.experiment.backlog import Backlog, divide
from babyai_kit.experiment.budget import check_prices
from babyai_kit.experiment.conclusion import conclude
from babyai_kit.experiment.estimate import announcement, forecast_of, retirement_notes
from babyai_kit.experiment.lane import Lane
from babyai_kit.experiment.lanes import make_lanes
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.experiment.open_files import ensure_open_files
from babyai_kit.experiment.options import RunOptions
from babyai_kit.experiment.outcome import Outcome
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.retries import retrying
from babyai_kit.experiment.runner import Admit, Runner
from babyai_kit.experiment.spent import spent
from babyai_kit.experiment.store_watch import store_watch
from babyai_kit.experiment.workflow_evaluations import Registrar, show_comparison
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.storage_check import check_storage
from babyai_kit.runs.commands import command_line
from babyai_kit.runs.journal import (
    Journal,
    read_calls,
    read_episodes,
    read_manifest,
    read_registrations,
    read_steps,
    run_folder,
)
from babyai_kit.runs.manifest import manifest_for
from babyai_kit.runs.plan import Plan, Sampling
from babyai_kit.runs.plan_text import held_plans_note
from babyai_kit.runs.records import answered_calls
from babyai_kit.runs.trajectories import located


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
    specs = {spec.name: spec for spec in agents}
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
    evaluates = options.workflow_evaluation
    if evaluates is None:
        evaluates = not session.embedded
    with Journal(folder) as journal:
        steps, calls = read_steps(folder), read_calls(folder)
        divided = partial(
            divide,
            episodes=read_episodes(folder),
            steps=steps,
            calls=calls,
            registered=read_registrations(folder),
            run_id=manifest.run_id,
            history_length=plan.history_length,
            new_episode_id=session.new_episode_id,
            served_as={player.pair: player.served_as for player in players if player.added},
        )
        backlog = divided(config.asked_in(manifest.dialects), keys)
        forecast = forecast_of(config, backlog, sampling)
        owing = _owing(config, players, backlog)
        ensure_open_files(
            min(sum(map(options.calls_of, models)), len(backlog.owed)), embedded=session.embedded
        )
        if owing:
            for line in retirement_notes(models.values(), config.settings):
                print(line)
            print(announcement(backlog, forecast, sampling))
            await session.serve([asked for player in players for asked in config.asked_by(player)])
            # Before anything is paid for.
            await retrying(options.backoff)(check_storage, session)
        else:
            print(f"{len(keys):,} of {len(keys):,} done, nothing to run.")
            journal.write_manifest(manifest)
        earlier = [step for record in backlog.done for step in steps.get(record.episode_id, ())]
        earlier += [step for planned in backlog.owed for step in planned.steps]
        show = options.progress and bool(owing)
        bar = Progress(len(keys), backlog.done, forecast, show=show, before=spent(earlier))
        lanes = make_lanes(
            models,
            options,
            usual_rate=session.settings.requests_per_minute,
            max_tokens=sampling.max_tokens,
            before=answered_calls(steps, calls),
            say=bar.say,
            chats=specs,
        )
        admission = Admission(
            session,
            journal,
            bar,
            manifest=manifest,
            config=config,
            sampling=sampling,
            backoff=options.backoff,
            owing=owing,
            divide=lambda asked, model: divided(asked, [key for key in keys if key.model == model]),
            done=backlog.done,
            chats=specs,
            evaluates=evaluates,
        )
        runner = Runner(
            session,
            journal,
            bar,
            run_id=manifest.run_id,
            sampling=sampling,
            lanes=lanes,
            agents={name: spec.make for name, spec in specs.items()},
            new_episode=partial(_anew, session),
            registrar=Registrar(session, journal, lambda: admission.manifest) if evaluates else None,
        )
        try:
            await _play(session, bar, runner, admission, lanes, owing)
        except (asyncio.CancelledError, KeyboardInterrupt) as stop:
            done = len(admission.done) + sum(record.status == "ok" for record in runner.ended)
            show_in_one_line(
                stop,
                f"Interrupted: {done:,} of {len(keys):,} episodes of {plan.run!r} are done. Run this "
                "again to go on where it stopped.",
            )
            raise
        except ReplayError as error:
            raise located(error, folder, before.versions if before else {}) from None
        for note in dict.fromkeys(runner.begun_anew):
            print(f"Begun anew, since an agent does not repeat what it did: {note}.")
        outcome = await conclude(
            session,
            journal,
            config,
            admission.manifest,
            admission.done + runner.ended,
            planned=len(keys),
            stops=runner.stops,
        )
    if evaluates:
        show_comparison(admission.manifest, session.settings.ui_url)
    return outcome


def _owing(config: Config, players: Iterable[Agent], backlog: Backlog) -> dict[str, list[Agent]]:
    """By model that has episodes to play, whom the gateway is asked for then; nobody, if all is chance."""
    owed = {(planned.key.variant, planned.key.model) for planned in backlog.owed}
    by_model: dict[str, list[Agent]] = {}
    for player in players:
        if player.pair in owed:
            by_model.setdefault(player.model.name, []).extend(config.asked_by(player))
    return by_model


async def _play(
    session: Session,
    bar: Progress,
    runner: Runner,
    admission: Admission,
    lanes: Mapping[str, Lane],
    models: Collection[str],
) -> None:
    """Every episode that `models` owe. Raises the error of one that cannot play if no other can."""
    admit: Admit = admission.admit
    if len(models) == 1:
        # There is no progress to be shown until it answers.
        (model,) = models
        admitted = await admission.admit(lanes[model])

        async def admit(lane: Lane) -> Sequence[PlannedEpisode]:
            return admitted

    with bar:
        bar.watch(lanes)
        async with store_watch(session, bar.say):
            await runner.all(models, admit)
    if models and not any(lanes[model].dialect for model in models):
        gravest, *others = runner.stops
        for error in others:
            print(f"Stopped: {error}")
        raise gravest


def _anew(session: Session, planned: PlannedEpisode) -> PlannedEpisode:
    return replace(planned, episode_id=session.new_episode_id(), steps=(), calls=(), registered=False)
