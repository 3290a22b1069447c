"""What is asked of the models before a plan starts: do they answer, in which dialect, under which name.

A wrong name or key looks like a passing fault in the middle of a run, so a few calls come first, unrecorded
and outside the plan.

A model is asked for a schema first, then in JSON mode, then in words alone: the first form that is accepted
and gives a valid answer is the one. A parameter is left out only if the server's answer refuses it. A server
that is away, busy or loading says nothing about either, so it is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from babyai_kit.agents.template_agent import decide
from babyai_kit.configuration.dialects import Dialect, first_dialect
from babyai_kit.configuration.variants import Agent
from babyai_kit.experiment.concurrency import together
from babyai_kit.experiment.interview import Interview
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff
from babyai_kit.gateway.protocol import Answer
from babyai_kit.gateway.session import Session
from babyai_kit.runs.answers import REMEDIES, reason_of
from babyai_kit.runs.plan import Sampling


@dataclass(frozen=True)
class Preflight:
    """What the first calls showed."""

    notes: tuple[str, ...] = ()
    """For the user, a line each."""
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    """How each model is asked, by name."""

    def dialect(self, model: str) -> Dialect:
        """How `model` is asked."""
        return self.dialects.get(model, Dialect())


async def preflight(
    session: Session,
    agents: Sequence[Agent],
    sampling: Sampling,
    backoff: Backoff,
    *,
    recorded: Mapping[str, Dialect] | None = None,
    say: Callable[[str], None] = lambda line: None,
    wait_s: float = 1.0,
    paces: Mapping[str, Pace] | None = None,
) -> Preflight:
    """Ask each model of `agents`, all at once; a gateway over HTTP, whose config is not ours, for all agents.

    `recorded`: dialects that the run has used before, by model: they are used again and not found out anew.
    `say` gets a line when a model is waited for. `wait_s`: between tries. `paces`: of the run, by
    model, whose calls these are among. Raises InputError if the gateway knows no such function or variant,
    else the last ServiceError, with the model's name and what to check.
    """
    recorded, paces = recorded or {}, paces or {}
    by_model: dict[str, list[Agent]] = {}
    # A variant of `config/` first: agents that only chat need to know less of a model, and dialogues most.
    for agent in sorted(agents, key=lambda agent: (agent.variant.chats, not agent.variant.dialogue)):
        by_model.setdefault(agent.model.name, []).append(agent)

    async def ask(name: str, of_model: Sequence[Agent]) -> Preflight:
        dialect, notes = recorded.get(name), []
        pace = paces.get(name) or Pace(None, backoff)
        # Of a gateway that is ours, one answer says all; but an agent may need more than words.
        asked = [a for i, a in enumerate(of_model) if not i or not session.embedded or a.variant.needs]
        for agent in asked:
            new = dialect is None
            interview = Interview(session, agent, sampling, backoff, say, wait_s, pace)
            dialect, answer = await interview.hold(dialect)
            first = first_dialect(agent.model.base_url, agent.model.asked_as)
            if agent.variant.chats:
                first = replace(first, answer_format="words")
            if new and dialect != first:
                notes.append(f"{name} is asked {dialect}; run.json keeps this for the whole run.")
            notes += _about(session, agent, answer)
        return Preflight(tuple(notes), {name: dialect} if dialect else {})

    found = await together(ask(name, of_model) for name, of_model in by_model.items())
    notes = dict.fromkeys(note for one in found for note in one.notes)
    return Preflight(tuple(notes), {**recorded, **{n: d for one in found for n, d in one.dialects.items()}})


def _about(session: Session, agent: Agent, answer: Answer) -> Iterator[str]:
    """What the user should know about the first answer of a model."""
    variant, model = agent.pair
    name = answer.model or model
    if not session.embedded and model == session.settings.model and not name.startswith(model):
        yield f"The gateway's model calls itself {name}, and AGENT_MODEL says {model}."
    if not agent.variant.chats and not decide(answer.parsed).valid:
        reason = reason_of(answer.raw, answer.finish_reason)
        yield (
            f"The first answer of {model} to {variant} is not valid ({reason}); if most are like it, "
            f"{REMEDIES[reason]}."
        )
