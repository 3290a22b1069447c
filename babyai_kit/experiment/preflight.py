"""What is asked of a model before it plays: does it answer, in which dialect, under which name.

A wrong name or key looks like a passing fault in the middle of a run, so a few calls come first, unrecorded
and outside the plan.

A model is asked for a schema first, then in JSON mode, then in words alone: the first form that is accepted
and gives a valid answer is the one. A parameter is left out only if the server's answer refuses it. A server
that is away, busy or loading says nothing about either, so it is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from babyai_kit.agents.template_agent import decide
from babyai_kit.configuration.dialects import Dialect, first_dialect
from babyai_kit.configuration.served_models import named_in
from babyai_kit.configuration.variants import Agent
from babyai_kit.errors import ServiceError
from babyai_kit.experiment.interview import Interview, passes
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff
from babyai_kit.experiment.retries import retrying
from babyai_kit.gateway.protocol import Answer
from babyai_kit.gateway.session import Session
from babyai_kit.runs.answers import REMEDIES, reason_of
from babyai_kit.runs.plan import Sampling

EMBEDDINGS = "embeddings"
"""What an agent needs that embeds."""


@dataclass(frozen=True)
class Preflight:
    """What the first calls to a model showed."""

    dialect: Dialect
    """How it is asked."""
    notes: tuple[str, ...] = ()
    """For the user, a line each."""


async def preflight(
    session: Session,
    agents: Sequence[Agent],
    sampling: Sampling,
    backoff: Backoff,
    *,
    pace: Pace,
    recorded: Dialect | None = None,
    say: Callable[[str], None] = lambda line: None,
    wait_s: float = 1.0,
) -> Preflight:
    """Ask the one model that plays all of `agents`; through a gateway over HTTP, whose config is not ours,
    for each of them.

    `pace`: of the run's calls to the model, which these are among. `recorded`: the dialect that the run has
    used before, which is used again and not found out anew. `say` gets a line when the model is waited for.
    `wait_s`: between tries. Raises InputError if the gateway knows no such function or variant, else the last
    ServiceError, with what to check.
    """
    # A variant of `config/` first: agents that only chat need to know less of a model, and dialogues most.
    first, *others = sorted(agents, key=lambda a: (a.variant.chats, not a.variant.dialogue))
    dialect, notes = recorded, []
    # Of a gateway that is ours, one answer says all; but an agent may need more than words.
    for agent in (first, *(a for a in others if not session.embedded or a.variant.needs)):
        interview = Interview(session, agent, sampling, backoff, say, wait_s, pace)
        known = dialect
        dialect, answer = await interview.hold(known)
        if known is None and dialect != _usual(agent):
            notes.append(f"{agent.model.name} is asked {dialect}; run.json keeps this for the whole run.")
        notes += _about(session, agent, answer)
    assert dialect is not None
    for need in dict.fromkeys(need for agent in agents for need in agent.variant.needs):
        kind, _, model = need.partition(":")
        if kind == EMBEDDINGS:
            await _embeds(session, model, backoff)
    return Preflight(dialect, tuple(dict.fromkeys(notes)))


async def _embeds(session: Session, model: str, backoff: Backoff) -> None:
    """Try the model for embeddings; what passes by itself is waited for. Raises InputError, ServiceError."""
    try:
        await retrying(backoff, only=passes)(session.embed, ["go forward"], model)
    except ServiceError as error:
        raise type(error)(f"embeddings: {error}", kind=error.kind, fatal=True) from None


def _usual(agent: Agent) -> Dialect:
    """The dialect of which nothing need be said."""
    usual = first_dialect(agent.model.base_url, agent.model.asked_as)
    return replace(usual, answer_format="words") if agent.variant.chats else usual


def _about(session: Session, agent: Agent, answer: Answer) -> Iterator[str]:
    """What the user should know about the first answer of a model."""
    variant, model = agent.pair
    name = answer.model or model
    if not session.embedded and model == session.settings.model and not name.startswith(model):
        place = named_in(model, session.settings)
        yield f"The gateway's model calls itself {name}, and {place} says {model}."
    if not agent.variant.chats and not decide(answer.parsed).valid:
        reason = reason_of(answer.raw, answer.finish_reason)
        yield (
            f"The first answer of {model} to {variant} is not valid ({reason}); if most are like it, "
            f"{REMEDIES[reason]}."
        )
