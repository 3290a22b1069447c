"""What is asked of the models before a plan starts: do they answer, with JSON mode, under which name.

A wrong name or key looks like a passing fault in the middle of a run, so a few calls come first, unrecorded
and outside the plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from babyai_kit.agents.template_agent import SAMPLE_ARGUMENTS
from babyai_kit.configuration.variants import FUNCTION
from babyai_kit.errors import InputError, RateLimited, ServiceError
from babyai_kit.experiment.retries import Backoff, retrying
from babyai_kit.gateway.protocol import Answer, Question
from babyai_kit.gateway.session import Session
from babyai_kit.runs.plan import Sampling

TRIES = 3


@dataclass(frozen=True)
class Preflight:
    """What the first calls showed."""

    notes: tuple[str, ...] = ()
    """For the user, a line each."""
    without_json_mode: frozenset[str] = frozenset()
    """Models whose server refuses JSON mode: they are asked in words alone."""

    def json_mode(self, model: str) -> str | None:
        """The `json_mode` of a question to `model`."""
        return "off" if model in self.without_json_mode else None


async def preflight(
    session: Session, variants: Sequence[str], sampling: Sampling, backoff: Backoff, *, wait_s: float = 1.0
) -> Preflight:
    """Ask each model behind `variants` once; a gateway over HTTP, whose configuration is not ours, for each
    variant.

    `wait_s`: between tries. Raises InputError if the gateway knows no such function or variant, else the last
    ServiceError, with the model's name and what to check, if three tries fail.
    """
    asked: set[str] = set()
    notes: list[str] = []
    without_json_mode: set[str] = set()
    for variant in variants:
        model = session.config.variants[variant].model
        if model in asked and session.embedded:
            continue
        asked.add(model)
        before = "off" if model in without_json_mode else None
        answer, json_mode = await _ask(session, variant, sampling, backoff, before, wait_s)
        if json_mode != before:
            without_json_mode.add(model)
            notes.append(f"{model} answers only without JSON mode, so it is asked in words alone.")
        name = answer.model or model
        if not session.embedded and model == session.settings.model and not name.startswith(model):
            notes.append(f"The gateway's model calls itself {name}, and AGENT_MODEL says {model}.")
    return Preflight(tuple(dict.fromkeys(notes)), frozenset(without_json_mode))


async def _ask(
    session: Session,
    variant: str,
    sampling: Sampling,
    backoff: Backoff,
    json_mode: str | None,
    wait_s: float,
) -> tuple[Answer, str | None]:
    """The answer, and the JSON mode it needed."""
    for attempt in range(1, TRIES + 1):
        outcome = await _try(session, variant, sampling, backoff, json_mode)
        if isinstance(outcome, Answer):
            return outcome, json_mode
        error = outcome
        refused = error.kind == "bad request"
        hopeless = error.fatal or isinstance(error, RateLimited) or not (error.retryable or refused)
        if hopeless or attempt == TRIES or (refused and json_mode == "off"):
            break
        # Servers without JSON mode mostly say 400, some another status, which could pass by itself.
        if refused or (error.kind == "server" and attempt == TRIES - 1):
            json_mode = "off"
        if not refused:
            await asyncio.sleep(wait_s)
    if error.kind == "unknown function":
        where = session.settings.redact(session.settings.gateway_url)
        raise InputError(
            f"the gateway at {where} has no variant {variant!r} of the function {FUNCTION!r}; give it this "
            "project's config/ and restart it"
        )
    model = session.config.variants[variant].model
    raise type(error)(
        f"model {model!r} does not answer, so nothing was run; check AGENT_MODEL, the key and the server: "
        f"{error}",
        kind=error.kind,
        retryable=False,
        fatal=True,
    )


async def _try(
    session: Session, variant: str, sampling: Sampling, backoff: Backoff, json_mode: str | None
) -> Answer | ServiceError:
    """One try; a rate limit, which no wrong name looks like, is waited for as in the run."""
    question = Question(
        variant,
        session.new_episode_id(),
        SAMPLE_ARGUMENTS,
        seed=0 if sampling.call_seeds else None,
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        json_mode=json_mode,
        dryrun=True,
    )
    try:
        return await retrying(backoff, only=RateLimited)(session.ask, question)
    except ServiceError as error:
        return error
