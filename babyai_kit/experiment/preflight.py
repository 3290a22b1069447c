"""What is asked of the models before a plan starts: do they answer, with JSON mode, under which name.

Knows how to ask; the session knows whom. A wrong name or key looks like a passing fault in the middle of a
run, so that a few calls come first, unrecorded and outside the plan.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from babyai_kit.agents.template_agent import gateway_input
from babyai_kit.configuration.variants import FUNCTION
from babyai_kit.errors import GatewayError, InputError, ServiceError
from babyai_kit.experiment.retries import retrying
from babyai_kit.gateway.session import Answer, Session
from babyai_kit.runs.plan import Sampling

TRIES = 3
WAIT_S = 1.0


async def preflight(session: Session, variants: Sequence[str], sampling: Sampling) -> list[str]:
    """Ask each model behind `variants` once; a gateway over HTTP, whose configuration is not ours, for each
    variant.

    Returns notes for the user. A server that refuses JSON mode is asked without it, and so are all calls
    that follow (`session.without_json_mode`). Raises InputError if the gateway knows no such function or
    variant, else the last ServiceError, with the model's name and what to look at, if three tries fail.
    """
    asked: set[str] = set()
    notes: list[str] = []
    for name in variants:
        model = session.config.variants[name].model
        if model in asked and session.embedded:
            continue
        asked.add(model)
        had_json_mode = model not in session.without_json_mode
        answer = await _ask(session, name, model, sampling)
        if had_json_mode and model in session.without_json_mode:
            notes.append(f"{model} answers only without JSON mode, so it is asked in words alone.")
        told = answer.model or model
        if not session.embedded and model == session.settings.model and not told.startswith(model):
            notes.append(f"The gateway's model calls itself {told}, and AGENT_MODEL says {model}.")
    return list(dict.fromkeys(notes))


async def name_model(session: Session) -> None:
    """Let the session's model bear the name that the gateway's model server gives itself, if it answers."""
    variants = session.config.variants
    unnamed = next((v for v in variants.values() if v.model == session.settings.model), None)
    if unnamed is None:
        return
    try:
        answer = await _call(session, unnamed.name, Sampling())
    except ServiceError:
        # Told by the preflight, when a plan needs the model.
        return
    if answer.model:
        named = {
            name: dataclasses.replace(v, model=answer.model) if v.model == unnamed.model else v
            for name, v in variants.items()
        }
        session.config = dataclasses.replace(session.config, variants=named)
        session.settings = dataclasses.replace(session.settings, model=answer.model)


async def _ask(session: Session, variant: str, model: str, sampling: Sampling) -> Answer:
    for attempt in range(1, TRIES + 1):
        outcome = await _try(session, variant, sampling)
        if isinstance(outcome, Answer):
            return outcome
        error = outcome
        refused = error.kind == "bad request"
        limited = error.kind == "rate limit"
        hopeless = error.fatal or limited or not (error.retryable or refused)
        if hopeless or attempt == TRIES or (refused and model in session.without_json_mode):
            break
        # Servers without JSON mode mostly say 400, some another status, which could pass by itself.
        if refused or (error.kind == "server" and attempt == TRIES - 1):
            session.without_json_mode.add(model)
        if not refused:
            await asyncio.sleep(WAIT_S)
    session.without_json_mode.discard(model)
    if isinstance(error, GatewayError) and "Unknown " in str(error):
        where = session.settings.redact(session.settings.gateway_url)
        raise InputError(
            f"the gateway at {where} has no variant {variant!r} of the function {FUNCTION!r}; give it this "
            "project's config/ and restart it"
        )
    raise type(error)(
        f"model {model!r} does not answer, so nothing was run; check AGENT_MODEL, the key and the server: "
        f"{error}",
        kind=error.kind,
        fatal=True,
    )


async def _try(session: Session, variant: str, sampling: Sampling) -> Answer | ServiceError:
    """One try; a rate limit, which no wrong name looks like, is waited for as in the run."""

    async def call() -> Answer:
        return await _call(session, variant, sampling)

    try:
        return await retrying(only="rate limit")(call)
    except ServiceError as error:
        return error


async def _call(session: Session, variant: str, sampling: Sampling) -> Answer:
    return await session.infer(
        variant,
        session.new_episode_id(),
        gateway_input("go to the red ball", "a red ball 1 step forward", []),
        seed=0 if sampling.call_seeds else None,
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        dryrun=True,
    )
