"""The first calls to one model: the dialect it wants to be asked in, and an answer in it.

The forms of an answer are tried from the strictest on; a parameter is left out only if it is refused.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from typing import cast

from PIL import Image

from babyai_kit.agents.template_agent import decide, sample_prompt
from babyai_kit.configuration.answer_forms import answer_forms
from babyai_kit.configuration.dialects import OMISSIONS, Dialect, Omission, first_dialect
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.variants import FUNCTION, Agent
from babyai_kit.errors import (
    GatewayAway,
    GatewayError,
    InputError,
    ModelError,
    ModelLoading,
    RateLimited,
    ServiceError,
    StoreError,
)
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff, Patience, asked_wait_s
from babyai_kit.experiment.refusals import refusal
from babyai_kit.experiment.retries import retrying
from babyai_kit.gateway.protocol import Answer, ChatMessage, Question
from babyai_kit.gateway.session import Session
from babyai_kit.runs.plan import Sampling
from babyai_kit.waiting_times import in_words

REASONING: tuple[Omission, ...] = ("reasoning_effort", "thinking_budget_tokens")
"""Parameters for models that reason."""

SAMPLE_MESSAGES = (ChatMessage("user", "Answer with these words and no others: go forward"),)
"""For agents that ask with messages."""

SAMPLE_COLOUR = "orange"
"""Of a sample picture: none that a model names which sees nothing."""

TRIES = 3
"""Of a call that fails without a refusal."""

PASSING = (RateLimited, ModelLoading, GatewayAway, StoreError)
"""What passes by itself, and what no wrong name or key looks like."""

MAX_TRYING_S = 60.0
"""No further try after so long: who waited for a whole answer in vain has waited enough."""

NOTICE_S = 10.0
"""Without an answer, the user is told after so long."""

MAX_CALLS = 16
"""Of one model, whatever it answers: a server that refuses now this and now that has an end."""


class Interview:
    """The first calls to one model."""

    def __init__(
        self,
        session: Session,
        agent: Agent,
        sampling: Sampling,
        backoff: Backoff,
        say: Callable[[str], None],
        wait_s: float,
        pace: Pace,
    ) -> None:
        self._session = session
        self._agent = agent
        self._variant = agent.variant.name
        self._model = agent.model.name
        self._sampling = sampling
        self._backoff = backoff
        self._say = say
        self._wait_s = wait_s
        self._pace = pace
        self._calls = 0
        self._refused: set[Omission] = set()
        self._told = False

    async def hold(self, recorded: Dialect | None) -> tuple[Dialect, Answer]:
        """The dialect to use, and an answer in it.

        Raises InputError, or the last ServiceError (see `why_not`).
        """
        if recorded is not None:
            outcome = await self._ask(recorded)
            if isinstance(outcome, ServiceError):
                raise self._failure(outcome, recorded)
            return recorded, outcome
        accepted: list[tuple[Dialect, Answer]] = []
        model = self._agent.model
        omitted = self._first().omitted
        failure: tuple[ServiceError, Dialect] | None = None
        reasons = any(self._sends(name, Dialect(omitted=omitted)) for name in REASONING)
        forms = answer_forms(model.asked_as, reasoning=reasons)
        for answer_format in ("words",) if self._agent.variant.chats else forms:
            dialect, outcome = await self._accepted(Dialect(answer_format, omitted))
            omitted = dialect.omitted
            if isinstance(outcome, ServiceError):
                refused = refusal(outcome, dialect)
                # What is refused beside a form is what matters, whichever form showed it.
                if failure is None or refused != "answer format":
                    failure = outcome, dialect
                if refused is None:
                    break
                continue
            accepted.append((dialect, outcome))
            # Another form of request doesn't help an answer that max_tokens cuts off.
            valid = self._agent.variant.chats or decide(outcome.parsed).valid
            if valid or outcome.finish_reason == "length":
                return dialect, outcome
        if accepted:
            return accepted[0]
        assert failure is not None
        # Refused in every form without a word about what: perhaps a parameter, each alone.
        if refusal(*failure) == "unnamed" and (found := await self._less_one(Dialect("json", omitted))):
            return found
        raise self._failure(failure[0])

    def _first(self) -> Dialect:
        """In which the model is asked first: without what its provider never gets to see."""
        model = self._agent.model
        dialect = first_dialect(model.base_url, model.asked_as)
        asked = {
            name for name in ("reasoning_effort", "thinking_budget_tokens") if getattr(self._sampling, name)
        }
        known = PROVIDERS.get(model.asked_as)
        dropped = asked - set(known.reasoning if known else ())
        return dialect.omitting({*dialect.omitted, *cast("set[Omission]", dropped)})

    async def _accepted(self, dialect: Dialect) -> tuple[Dialect, Answer | ServiceError]:
        """The outcome of asking in `dialect`, less the parameters that the server refuses."""
        outcome = await self._ask(dialect)
        while isinstance(outcome, ServiceError):
            refused = refusal(outcome, dialect)
            if refused is None or refused in ("answer format", "unnamed"):
                break
            dialect = self._without(dialect, cast(Omission, refused))
            outcome = await self._ask(dialect)
        return dialect, outcome

    async def _less_one(self, dialect: Dialect) -> tuple[Dialect, Answer] | None:
        """`dialect` less the one parameter that a server refuses without naming it, and its answer."""
        for parameter in OMISSIONS:
            if self._sends(parameter, dialect):
                without = self._without(dialect, parameter)
                outcome = await self._ask(without)
                if isinstance(outcome, Answer):
                    return without, outcome
        return None

    def _without(self, dialect: Dialect, refused: Omission) -> Dialect:
        """`dialect` less a parameter; the limit of tokens has another name to try."""
        self._refused.add(refused)
        omitted = {*dialect.omitted, refused}
        if refused == "max_tokens" and "max_completion_tokens" not in self._refused:
            omitted.discard("max_completion_tokens")
        return dialect.omitting(omitted)

    def _sends(self, parameter: Omission, dialect: Dialect) -> bool:
        """True if the request has `parameter` in it."""
        return (
            parameter not in dialect.omitted
            and {
                "seed": self._sampling.call_seeds,
                "temperature": self._sampling.temperature is not None,
                "reasoning_effort": self._sampling.reasoning_effort is not None,
                "thinking_budget_tokens": self._sampling.thinking_budget_tokens is not None,
                "max_completion_tokens": True,
                "max_tokens": "max_completion_tokens" in dialect.omitted,
            }[parameter]
        )

    async def _ask(self, dialect: Dialect) -> Answer | ServiceError:
        """An answer in `dialect`, or why there is none: the refusal, or what failed in the last try."""
        started = time.monotonic()
        for attempt in range(1, TRIES + 1):
            self._calls += 1
            outcome = await self._try(dialect)
            if isinstance(outcome, Answer) or self._calls >= MAX_CALLS:
                return outcome
            if outcome.fatal or not outcome.retryable or refusal(outcome, dialect):
                return outcome
            if attempt == TRIES or time.monotonic() - started > MAX_TRYING_S:
                return outcome
            await asyncio.sleep(self._wait_s)
        return outcome

    async def _try(self, dialect: Dialect) -> Answer | ServiceError:
        """One try; what passes by itself, and what names a time to come back, is waited for."""
        prompt = sample_prompt(dialogue=self._agent.variant.dialogue)
        question = Question(
            self._variant,
            self._session.new_episode_id(),
            prompt.arguments,
            prompt.earlier,
            messages=self._messages(),
            model=self._model,
            served_as=self._agent.served_as,
            seed=0 if self._sampling.call_seeds else None,
            temperature=self._sampling.temperature,
            max_tokens=self._sampling.max_tokens,
            reasoning_effort=self._sampling.reasoning_effort,
            thinking_budget_tokens=self._sampling.thinking_budget_tokens,
            dialect=dialect,
            dryrun=True,
        )
        patience = Patience(self._backoff, self._say)
        try:
            return await retrying(self._backoff, only=passes, patience=patience)(self._call, question)
        except ServiceError as error:
            return error

    def _messages(self) -> tuple[ChatMessage, ...] | None:
        """What an agent of Python code may ask with; None for a variant of `config/`."""
        if not self._agent.variant.chats:
            return None
        if "images" not in self._agent.variant.needs:
            return SAMPLE_MESSAGES
        return (ChatMessage("user", SAMPLE_MESSAGES[0].text, (sample_picture(),)),)

    async def _call(self, question: Question) -> Answer:
        await self._pace.turn()
        notice = asyncio.get_running_loop().call_later(NOTICE_S, self._tell)
        try:
            return await self._session.ask(question)
        finally:
            notice.cancel()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            limit = in_words(self._session.settings.first_timeout_s)
            self._say(f"Waiting for the first answer, at most {limit}.")

    def _failure(self, error: ServiceError, recorded: Dialect | None = None) -> ServiceError | InputError:
        if error.kind == "unknown function":
            where = self._session.settings.redact(self._session.settings.gateway_url)
            restart = "run make up" if self._agent.added else "give it this project's config/ and restart it"
            return InputError(
                f"the gateway at {where} has no variant {self._agent.served_as!r} of the function "
                f"{FUNCTION!r}; {restart}"
            )
        if "images" in self._agent.variant.needs and error.kind == "bad request":
            return InputError(
                f"the agent {self._variant} sends pictures, which {self._model} does not take; choose a "
                f"model that does: {error}"
            )
        if recorded is not None and refusal(error, recorded):
            return InputError(
                f"this run asked {self._model} {recorded}, which its server now refuses; choose another "
                f"name, since answers asked for in two ways do not compare: {error}"
            )
        return error


def why_not(error: ServiceError, *, model: str = "", consequence: str = "") -> str:
    """Why a model gave no first answer, and what to check. `model`: its name, unless that stands before it;
    `consequence`: such as `nothing was run`."""
    not_the_model = isinstance(error, (GatewayError, StoreError)) and error.kind != "timeout"
    if not_the_model or error.fatal or error.kind == "connection":
        # What to mend is said already: a key, a certificate, an account, the network.
        whose = model if isinstance(error, ModelError) else ""
        return ": ".join(filter(None, (consequence, whose, str(error))))
    who, so = f"model {model!r}" if model else "it", f", so {consequence}" if consequence else ""
    return f"{who} does not answer{so}; check its name, the key and the server: {error}"


def sample_picture() -> bytes:
    """A small PNG of one colour; some servers refuse sides below 28 pixels."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), SAMPLE_COLOUR).save(file, format="PNG")
    return file.getvalue()


def passes(error: ServiceError) -> bool:
    """Whether trying again helps without anybody's doing."""
    return isinstance(error, PASSING) or asked_wait_s(error) is not None
