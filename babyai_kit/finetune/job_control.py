"""One fine-tuning job, from its launch to its model, across as many processes as it takes.

The result of every step is on disk (see `job`) before the next step begins, so that the same call goes on
where an earlier one stopped and never launches twice. The server is reached through `provider`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from babyai_kit.configuration.project import PROJECT_CONFIG, StrPath
from babyai_kit.errors import InputError, ModelError
from babyai_kit.finetune.bases import check_base
from babyai_kit.finetune.costs import check_budget, estimate_training
from babyai_kit.finetune.export import Export, read_export
from babyai_kit.finetune.job import Job, known_job, read_job, write_job
from babyai_kit.finetune.job_answers import JobAnswer
from babyai_kit.finetune.provider import Provider, connected
from babyai_kit.finetune.server import Server
from babyai_kit.gateway.session import Session


def server_of(session: Session) -> Server:
    """The model server of the settings, or the session's offline player.

    Raises InputError if the session has none to speak to.
    """
    if not session.model_url:
        raise InputError(
            "no server to fine-tune on; besides the gateway's address, set OPENAI_API_KEY or OPENAI_BASE_URL"
        )
    return Server(session.model_url, session.settings.openai_api_key)


def check_is_there(model: str, session: Session) -> None:
    """Raises InputError for a base that is not a model of the server on which `session` fine-tunes, as its
    own name for it: the files would be uploaded to a server that cannot use them."""
    found, settings = session.config.model(model), session.settings
    here = found.base_url == settings.openai_base_url
    if here and found.served_name == model:
        return
    where = "the offline player" if settings.offline else server_of(session).address
    remedy = (
        f"name it as that server does: --model {found.served_name} (in Python: model=)"
        if here
        else "name a base there: --model NAME (in Python: model=), or set AGENT_MODEL to one before the run"
    )
    raise InputError(f"{model} is not a model of {where}, where fine-tuning is done; {remedy}")


async def launch(
    where: Session | Server,
    export: Export,
    *,
    model: str | None = None,
    suffix: str = "act",
    n_epochs: int | None = None,
    seed: int | None = None,
    max_cost_usd: float | None = None,
    say: Callable[[str], None] = print,
) -> Job:
    """Upload the files of `export` and create a job; returns it without waiting for its end.

    `model`: the base (default: the export's); `n_epochs`: None lets the provider choose; `seed`: of the
    training; `max_cost_usd`: launch nothing if the estimate, which is printed first, is higher. Called again
    for the same files, model, epochs and seed it returns the existing job, also if another one was launched
    in between, unless it failed or was cancelled.
    Raises InputError for files that would be refused or were changed, for a base that is at another server,
    and for one that OpenAI is known not to fine-tune; ModelError with the provider's reason if it refuses.
    """
    export = read_export(export.folder)
    model = model or export.model
    server = server_of(where) if isinstance(where, Session) else where
    base_url = _recorded_url(where)
    settings = {"n_epochs": n_epochs, "seed": seed}
    job = known_job(export, model, base_url, settings) or Job(
        export.folder, model, export.variant, export.digests, base_url, settings=settings
    )
    if job.job_id:
        say(f"Already launched: {job}")
        return job
    if isinstance(where, Session):
        check_is_there(model, where)
    if note := check_base(model, server.base_url):
        say(f"{note}.")
    config = where.config.path if isinstance(where, Session) else PROJECT_CONFIG
    estimate = estimate_training(export, model=model, n_epochs=n_epochs, config=config)
    say(f"Fine-tuning {model}: {estimate}.")
    check_budget(estimate, max_cost_usd)
    async with connected(server) as provider:
        resumed = bool(job.training_file)
        if not job.training_file:
            job = write_job(replace(job, training_file=await provider.upload(export.training_file)))
        if export.validation_file and not job.validation_file:
            job = write_job(replace(job, validation_file=await provider.upload(export.validation_file)))
        answer = await provider.find(job.training_file) if resumed else None
        if answer is None:
            answer = await _create(provider, job, suffix, n_epochs, seed)
        job = write_job(_updated(job, answer))
    say(str(job))
    return job


async def poll(where: Session | Server, folder: StrPath) -> Job:
    """Ask once for the state of the job of `folder`. Raises InputError if none was launched there."""
    job = read_job(folder)
    if job.ended:
        return job
    async with connected(_server(where, job)) as provider:
        return await _refresh(provider, job)


async def wait(
    where: Session | Server,
    folder: StrPath,
    *,
    timeout_s: float | None = None,
    first_wait_s: float = 0.25,
    longest_wait_s: float = 30.0,
    away_s: float = 900.0,
    nameless_s: float = 60.0,
    say: Callable[[str], None] = print,
) -> Job:
    """Wait for the end of the job of `folder`, printing its events as they come.

    May be interrupted and called again, in another process too. Returns the job, also when it failed or
    when `timeout_s` passed. `first_wait_s`, `longest_wait_s`: between two questions, growing; `away_s`: how
    long the server may stay away before ModelError is raised; `nameless_s`: how long a job that succeeded may
    lack its model's name before it counts as failed.
    """
    job = read_job(folder)
    if job.ended:
        return job
    clock = asyncio.get_running_loop().time
    end = math.inf if timeout_s is None else clock() + timeout_s
    known_events: set[str] = set()
    pause, asked_to_wait_s, status = first_wait_s, 0.0, job.status
    away_since: float | None = None
    nameless_since: float | None = None
    async with connected(_server(where, job)) as provider:
        while True:
            try:
                job = await _refresh(provider, job)
                away_since, asked_to_wait_s = None, 0.0
            except ModelError as error:
                since = clock() if away_since is None else away_since
                # A bad answer of a server that has the job comes from a proxy before it.
                if not (error.retryable or error.kind == "bad answer") or clock() - since > away_s:
                    raise
                if away_since is None:
                    say(f"Waiting for the server: {error}")
                away_since = since
                asked_to_wait_s = min(error.retry_after_s or 0.0, away_s)
            events = await provider.events(job.job_id, known=known_events) if away_since is None else []
            for event in events:
                known_events.add(event.key)
                say(f"  {event.message}")
            if job.status != status:
                # What led to it was said first.
                status = job.status
                say(f"Status: {status}")
            if job.outcome == "succeeded" and not job.fine_tuned_model:
                nameless_since = nameless_since or clock()
                if clock() - nameless_since > nameless_s:
                    reason = "the provider reports success but names no model"
                    job = write_job(replace(job, outcome="failed", error=reason))
            if job.ended or clock() >= end:
                return job
            await asyncio.sleep(max(0.0, min(max(pause, asked_to_wait_s), end - clock())))
            pause = min(pause * 1.5, longest_wait_s)


async def cancel(where: Session | Server, folder: StrPath) -> Job:
    """Cancel the job of `folder`; a job that has ended meanwhile is returned as it ended."""
    job = read_job(folder)
    if job.ended:
        return job
    async with connected(_server(where, job)) as provider:
        try:
            return write_job(_updated(job, await provider.cancel(job.job_id)))
        except ModelError:
            job = await _refresh(provider, job)
            if not job.ended:
                raise
            return job


def _server(where: Session | Server, job: Job) -> Server:
    """The server to ask about `job`. Raises InputError if the settings name another one than it runs at."""
    if isinstance(where, Server):
        return where
    if job.base_url != _recorded_url(where):
        # The key is for the settings' server: no other may see it.
        raise InputError(
            f"the job is at {job.base_url or 'the offline player'}, but the settings name "
            f"{_recorded_url(where) or 'the offline player'}; set OPENAI_BASE_URL as it was at the launch"
        )
    return server_of(where)


def _recorded_url(where: Session | Server) -> str:
    """The server's address as a job records it; empty for the offline player."""
    if isinstance(where, Server):
        return where.address
    return "" if where.settings.offline else server_of(where).address


async def _create(
    provider: Provider, job: Job, suffix: str, n_epochs: int | None, seed: int | None
) -> JobAnswer:
    request: dict[str, Any] = {"model": job.model, "training_file": job.training_file, "suffix": suffix}
    if job.validation_file:
        request["validation_file"] = job.validation_file
    if seed is not None:
        request["seed"] = seed
    if n_epochs is not None:
        supervised = {"hyperparameters": {"n_epochs": n_epochs}}
        request["method"] = {"type": "supervised", "supervised": supervised}
    try:
        return await provider.create(request)
    except ModelError as error:
        # The answer was lost, but the job may exist.
        answer = await provider.find(job.training_file) if error.retryable else None
        if answer is None:
            raise
        return answer


async def _refresh(provider: Provider, job: Job) -> Job:
    """The job as the server knows it now, written if it changed."""
    latest = _updated(job, await provider.job(job.job_id))
    if latest.outcome == "failed" and not latest.error:
        events = await provider.events(job.job_id)
        errors = [event for event in events if event.is_error] or events
        reason = errors[-1].message if errors else ""
        latest = replace(latest, error=reason or "the provider gives no reason")
    return latest if latest == job else write_job(latest)


def _updated(job: Job, answer: JobAnswer) -> Job:
    """The job with what the server's `answer` says of it."""
    return replace(
        job,
        job_id=job.job_id or answer.job_id,
        status=answer.status or job.status,
        outcome=answer.outcome,
        fine_tuned_model=answer.fine_tuned_model,
        error=answer.error,
        trained_tokens=answer.trained_tokens,
    )
