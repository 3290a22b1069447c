"""One fine-tuning job, from its launch to its model, so that a process may end in between.

Knows the order of things: what came of a step is on disk (see `record`) before the next begins, so that the
same call goes on where an earlier one stopped and never launches twice. How a server is spoken to is
`provider`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from babyai_kit.errors import InputError, ModelError
from babyai_kit.finetune.costs import check_budget, estimate_training
from babyai_kit.finetune.export import Export, read_export
from babyai_kit.finetune.job_file import Job, known_job, read_job, write_job
from babyai_kit.finetune.provider import Provider, Server, event_key, one_line, outcome, reason
from babyai_kit.gateway.session import Session

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 30.0
NAMELESS_S = 60.0
"""How long a job that succeeded may lack its model's name."""
AWAY_S = 900.0
"""How long a server may stay away while a job is waited for."""


def server_of(session: Session) -> Server:
    """The model server of the settings, or the session's offline player.

    Raises InputError if the session has none to speak to.
    """
    if not session.model_url:
        raise InputError(
            "no model server to fine-tune at; set OPENAI_API_KEY or OPENAI_BASE_URL beside the gateway"
        )
    return Server(session.model_url, session.settings.openai_api_key)


async def launch(
    where: Session | Server,
    made: Export,
    *,
    model: str | None = None,
    suffix: str = "act",
    n_epochs: int | None = None,
    seed: int | None = None,
    max_cost_usd: float | None = None,
    say: Callable[[str], None] = print,
) -> Job:
    """Upload the files of `made` and create a job; returns it without waiting for its end.

    `model`: the base (default: the export's); `n_epochs`: None lets the provider choose; `seed`: of the
    training; `max_cost_usd`: launch nothing whose estimate, which is said first, is more. Called again for
    the same files and model it returns the job that is there, unless that failed or was cancelled.
    Raises InputError for files that would be refused or were changed, ModelError with the provider's words
    if it refuses.
    """
    made = read_export(made.folder)
    model = model or made.model
    server = server_of(where) if isinstance(where, Session) else where
    offline = isinstance(where, Session) and where.settings.offline
    base_url = "" if offline else server.base_url
    job = known_job(made, model, base_url) or Job(made.folder, model, made.variant, made.digests, base_url)
    if job.job_id:
        say(f"Launched before: {job}")
        return job
    config = where.config.path if isinstance(where, Session) else "config"
    estimate = estimate_training(made, model=model, n_epochs=n_epochs, config=config)
    say(f"Fine-tuning {model}: {estimate}.")
    check_budget(estimate, max_cost_usd)
    async with server.connected() as provider:
        resumed = bool(job.training_file)
        if not job.training_file:
            job = write_job(replace(job, training_file=await provider.upload(made.training_file)))
        if made.validation_file and not job.validation_file:
            job = write_job(replace(job, validation_file=await provider.upload(made.validation_file)))
        found = await provider.find(job.training_file) if resumed else None
        if found is None:
            found = await _create(provider, job, suffix, n_epochs, seed)
        job = write_job(_seen(job, found))
    say(str(job))
    return job


async def poll(where: Session | Server, folder: str | Path) -> Job:
    """Ask once how the job of `folder` stands. Raises InputError if none was launched there."""
    job = read_job(folder)
    if job.ended:
        return job
    async with _server(where, job).connected() as provider:
        return await _ask(provider, job)


async def wait(
    where: Session | Server,
    folder: str | Path,
    *,
    timeout_s: float | None = None,
    longest_wait_s: float = LONGEST_WAIT_S,
    say: Callable[[str], None] = print,
) -> Job:
    """Wait for the end of the job of `folder`, saying its events as they come.

    May be broken off and called again, in another process too. Returns the job, also when it failed or
    when `timeout_s` passed; raises ModelError if the server stays away.
    """
    job = read_job(folder)
    if job.ended:
        return job
    loop = asyncio.get_running_loop()
    end = None if timeout_s is None else loop.time() + timeout_s
    said: set[str] = set()
    pause, away_since, nameless_since, status = FIRST_WAIT_S, None, None, job.status
    async with _server(where, job).connected() as provider:
        while True:
            try:
                job = await _ask(provider, job)
                away_since = None
            except ModelError as error:
                away_since = away_since or loop.time()
                if not error.retryable or loop.time() - away_since > AWAY_S:
                    raise
            if job.status != status:
                status = job.status
                say(f"Status: {status}")
            for event in await provider.events(job.job_id, known=said):
                said.add(event_key(event))
                say(f"  {one_line(event.get('message'))}")
            if job.outcome == "succeeded" and not job.fine_tuned_model:
                nameless_since = nameless_since or loop.time()
                if loop.time() - nameless_since > NAMELESS_S:
                    told = "the provider says it is done and names no model"
                    job = write_job(replace(job, outcome="failed", error=told))
            if job.ended or (end is not None and loop.time() >= end):
                return job
            await asyncio.sleep(min(pause, max(0.0, end - loop.time())) if end is not None else pause)
            pause = min(pause * 1.5, longest_wait_s)


async def cancel(where: Session | Server, folder: str | Path) -> Job:
    """Cancel the job of `folder`; one that has ended meanwhile is returned as it ended."""
    job = read_job(folder)
    if job.ended:
        return job
    async with _server(where, job).connected() as provider:
        try:
            return write_job(_seen(job, await provider.cancel(job.job_id)))
        except ModelError:
            job = await _ask(provider, job)
            if not job.ended:
                raise
            return job


def _server(where: Session | Server, job: Job) -> Server:
    if isinstance(where, Server):
        return where
    server = server_of(where)
    here = "" if where.settings.offline else server.base_url
    if job.base_url != here:
        # The key is for the settings' server: no other may see it.
        raise InputError(
            f"the job is at {job.base_url or 'the offline player'} and the settings name "
            f"{here or 'the offline player'}; set OPENAI_BASE_URL as it was at the launch"
        )
    return server


async def _create(
    provider: Provider, job: Job, suffix: str, n_epochs: int | None, seed: int | None
) -> dict[str, Any]:
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
        # The answer was lost, but the job may be there.
        found = await provider.find(job.training_file) if error.retryable else None
        if found is None:
            raise
        return found


async def _ask(provider: Provider, job: Job) -> Job:
    seen = _seen(job, await provider.job(job.job_id))
    if seen.outcome == "failed" and not seen.error:
        events = await provider.events(job.job_id)
        told = [e for e in events if e.get("level") == "error"] or events[-1:]
        why = one_line(told[-1].get("message")) if told else ""
        seen = replace(seen, error=why or "the provider gives no reason")
    return seen if seen == job else write_job(seen)


def _seen(job: Job, found: dict[str, Any]) -> Job:
    tokens = found.get("trained_tokens")
    return replace(
        job,
        job_id=str(found.get("id") or job.job_id),
        status=one_line(found.get("status")) or job.status,
        outcome=outcome(found),
        fine_tuned_model=str(found.get("fine_tuned_model") or ""),
        error=reason(found) if outcome(found) == "failed" else "",
        trained_tokens=tokens if isinstance(tokens, int) else None,
    )
