"""What one model takes, found out by a few calls: the form of its answers, parameters, a picture.

First the preflight's own questions, so that what is found is what a run will find; then each parameter alone,
in the dialect that was found.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from babyai_kit.agents.template_agent import SAMPLE_ARGUMENTS, decide
from babyai_kit.cli.metered_gateway import Meter, MeteredGateway
from babyai_kit.configuration.answer_forms import AnswerForm, answer_forms
from babyai_kit.configuration.dialects import Dialect, Omission
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.variants import CHAT_VARIANT, Agent
from babyai_kit.errors import KitError, ModelError, ServiceError
from babyai_kit.experiment.interview import PASSING, SAMPLE_COLOUR, Interview, sample_picture, why_not
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff, Patience
from babyai_kit.experiment.refusals import refusal
from babyai_kit.experiment.retries import retrying
from babyai_kit.gateway.protocol import Answer, ChatMessage, Question
from babyai_kit.gateway.session import Session
from babyai_kit.runs.answers import REMEDIES, reason_of
from babyai_kit.runs.plan import Sampling

Verdict = Literal["yes", "no", "blind", "?", "-"]
"""`yes`: taken, and a picture was seen. `blind`: a picture was taken and not seen. `?`: the call failed for
another reason. `-`: not tried, since the model had its calls, or the gateway takes no
messages for it."""

PARAMETERS: Mapping[Omission, Any] = {"seed": 0, "temperature": 0.0, "reasoning_effort": "low"}
"""What is tried, each alone."""

BACKOFF = Backoff(patience_s=60.0)
"""Of a busy model: its limits per minute are waited for once."""
WAIT_S = 1.0
"""Between the tries of a first call that fails."""

IMAGE_QUESTION = "Which colour fills this picture? Answer with the name of the colour alone, in one word."

_PICTURE = re.compile(
    r"image|vision|visual|multi.?modal|mmproj|content.{0,20}(type|string|text)", re.IGNORECASE
)


@dataclass(frozen=True)
class Trial:
    """What the calls to one model showed."""

    model: str
    meter: Meter
    error: str = ""
    """Why it gives no answer, with what to do; the rest is empty then."""
    form: AnswerForm = "words"
    """Of its answers, as a run would ask for them."""
    valid: bool = True
    """False if its answer to the sample prompt is no action."""
    takes: Mapping[Omission, Verdict] = field(default_factory=dict)
    images: Verdict = "-"
    notes: tuple[str, ...] = ()
    """What is worth knowing besides, a line each."""


@dataclass(frozen=True)
class Candidate:
    """A model as it is asked: with the prompt of a variant of `config/`, and with messages."""

    agent: Agent
    chat: Agent

    @property
    def name(self) -> str:
        return self.agent.model.name

    @property
    def added(self) -> list[Agent]:
        """What `config/` alone does not serve."""
        chats = [] if self.chat.served_as == CHAT_VARIANT else [self.chat]
        return [agent for agent in (self.agent, *chats) if agent.added]


async def tried(
    session: Session, gateway: MeteredGateway, candidate: Candidate, say: Callable[[str], None]
) -> Trial:
    """Ask the model, whose calls go through `gateway`. Never raises for what it answers."""
    trial = _Trial(session, gateway.meter(candidate.name), candidate, say)
    try:
        return await trial.hold()
    except ServiceError as error:
        return Trial(candidate.name, trial.meter, error=why_not(error))
    except KitError as error:
        return Trial(candidate.name, trial.meter, error=str(error))


class _Trial:
    def __init__(
        self, session: Session, meter: Meter, candidate: Candidate, say: Callable[[str], None]
    ) -> None:
        self.meter = meter
        self._session = session
        self._agent, self._chat = candidate.agent, candidate.chat
        self._say = say
        self._pace = Pace(session.settings.requests_per_minute, BACKOFF)
        self._notes: list[str] = []

    async def hold(self) -> Trial:
        agent, sampling = self._agent, Sampling(call_seeds=False)
        interview = Interview(self._session, agent, sampling, BACKOFF, self._say, WAIT_S, self._pace)
        dialect, answer = await interview.hold(None)
        valid = decide(answer.parsed).valid
        if not valid:
            reason = reason_of(answer.raw, answer.finish_reason)
            self._notes.append(f"its answer is not valid ({reason}); {REMEDIES[reason]}")
        takes = {parameter: await self._takes(parameter, dialect) for parameter in PARAMETERS}
        images = await self._images(dialect)
        return Trial(
            agent.model.name,
            self.meter,
            form=dialect.answer_format,
            valid=valid,
            takes=takes,
            images=images,
            notes=tuple(self._notes),
        )

    async def _takes(self, parameter: Omission, dialect: Dialect) -> Verdict:
        provider = self._agent.model.asked_as
        if not _passed_on(parameter, provider):
            return "no"
        if parameter == "reasoning_effort":
            dialect = _for_reasoning(dialect, provider)
        dialect = dialect.omitting({*dialect.omitted} - {parameter})
        question = self._question(self._agent, dialect, **{parameter: PARAMETERS[parameter]})
        outcome = await self._ask(question)
        if not isinstance(outcome, ServiceError):
            return "yes" if outcome else "-"
        # Without the parameter, the same was answered: no words of the server are needed to blame it.
        if isinstance(outcome, ModelError) and (outcome.kind == "bad request" or refusal(outcome, dialect)):
            return "no"
        return self._unclear(parameter, outcome)

    async def _images(self, dialect: Dialect) -> Verdict:
        words = dataclasses.replace(dialect, answer_format="words")
        message = ChatMessage("user", IMAGE_QUESTION, (sample_picture(),))
        outcome = await self._ask(self._question(self._chat, words, messages=(message,)))
        if isinstance(outcome, Answer):
            return "yes" if SAMPLE_COLOUR in (outcome.raw or "").lower() else "blind"
        if outcome is None or outcome.kind == "unknown function":
            # A gateway that somebody else started need not have every model's messages.
            return "-"
        if isinstance(outcome, ModelError) and (
            outcome.kind == "bad request" or _PICTURE.search(str(outcome))
        ):
            return "no"
        return self._unclear("an image", outcome)

    def _question(self, agent: Agent, dialect: Dialect, **parameters: Any) -> Question:
        return Question(
            agent.variant.name,
            self._session.new_episode_id(),
            SAMPLE_ARGUMENTS,
            model=agent.model.name,
            served_as=agent.served_as,
            max_tokens=Sampling().max_tokens,
            dialect=dialect,
            dryrun=True,
            **parameters,
        )

    async def _ask(self, question: Question) -> Answer | ServiceError | None:
        """None if the model had its calls."""
        if self.meter.spent:
            return None
        patience = Patience(BACKOFF, self._say)
        only = lambda error: isinstance(error, PASSING)  # noqa: E731
        try:
            return await retrying(BACKOFF, only=only, patience=patience)(self._call, question)
        except ServiceError as error:
            return error

    async def _call(self, question: Question) -> Answer:
        await self._pace.turn()
        return await self._session.ask(question)

    def _unclear(self, what: str, error: ServiceError) -> Verdict:
        self._notes.append(f"with {what}: {error}")
        return "?"


def _passed_on(parameter: Omission, provider: str) -> bool:
    """False if the gateway leaves the parameter out for this type of provider, without a word."""
    known = PROVIDERS.get(provider)
    if parameter == "seed":
        return known is None or known.takes_seed
    return parameter == "temperature" or known is None or parameter in known.reasoning


def _for_reasoning(dialect: Dialect, provider: str) -> Dialect:
    """`dialect` as a model that is told to reason can be asked."""
    forms = answer_forms(provider, reasoning=True)
    form = dialect.answer_format if dialect.answer_format in forms else forms[-1]
    return dataclasses.replace(dialect, answer_format=cast(AnswerForm, form))
