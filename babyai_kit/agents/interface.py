"""What an agent is: an object per episode that turns an observation into an action, and asks a model through
what it is given.

Knows nothing of gateways, queues or journals. Whoever runs the agent answers its `ask`: from the model, or
from what was recorded. So an agent may keep any state it likes in ordinary attributes: a run that was broken
off gives a new object the recorded answers again, in order, until they run out. For that, an agent must ask
the same when it sees the same: it takes chance from `episode.random` alone, and no time, file or other
service decides what it asks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from babyai_kit.errors import InputError

Role = Literal["system", "user", "assistant"]
Picture = NDArray[np.uint8]
"""[height, width, 3], RGB."""


@dataclass(frozen=True)
class Message:
    """One message of a chat. A system message comes first, if there is one."""

    role: Role
    content: str
    images: tuple[Picture, ...] = ()
    """Shown after the text."""


@dataclass(frozen=True)
class Turn:
    """An earlier step of a dialogue: what a user message was rendered from, and the answer after it."""

    arguments: Mapping[str, Any]
    """Of the user template."""
    answer: str


@dataclass(frozen=True)
class Reply:
    """An answer of the model."""

    text: str
    """Empty if it sent none."""
    parsed: Any = None
    """Of a call with template arguments: the answer as JSON if it satisfies the output schema, else None."""
    finish_reason: str | None = None
    """Why the model stopped: stop, length, content_filter, ...; None where it was not told."""
    input_tokens: int | None = None
    """Of the call; None where they were not told, as are the output's."""
    output_tokens: int | None = None


class Ask(Protocol):
    """Asks the model, and waits for its answer as long as that takes.

    Give either `messages` or the `arguments` of a variant's user template; `earlier`: the turns in front of
    these, for a variant that is a dialogue. `variant`: of `config/`; None: that of the agent. `temperature`,
    `max_tokens`: of this call, in place of the run's. Raises nothing that an agent should catch: if the model
    fails for good, the episode is an error, whatever the agent does.
    """

    async def __call__(
        self,
        messages: Sequence[Message] | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        earlier: Sequence[Turn] = (),
        variant: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply: ...


class Embed(Protocol):
    """Embeds `texts`: a vector each, all of one length, by `model` or, if empty, by the one that fits the
    settings. Waits and fails as `Ask` does. What it returns is not recorded: a resumed agent gets it anew."""

    async def __call__(self, texts: Sequence[str], model: str = "") -> list[list[float]]: ...


async def _no_embeddings(texts: Sequence[str], model: str = "") -> list[list[float]]:
    raise InputError("nobody embeds here; run the agent with run_experiment")


@dataclass(frozen=True)
class Episode:
    """What an agent is given at its beginning."""

    ask: Ask
    mission: str
    task: str
    seed: int
    num_dists: int
    repeat: int
    max_steps: int
    history_length: int
    """The plan's; for agents that show earlier steps."""
    variant: str = ""
    """The agent's name in tables."""
    model: str = ""
    """Who answers, as tables call it."""
    random: random.Random = field(default_factory=random.Random)
    """The same numbers whenever the episode is played."""
    dialogues: frozenset[str] = frozenset()
    """The variants of `config/` that are dialogues."""
    embed: Embed = _no_embeddings


@dataclass(frozen=True)
class Past:
    """What the agent's latest action came to."""

    action: str
    """Executed: after an answer that was not valid, "go forward"."""
    valid: bool
    given: str
    """What the agent gave, valid or not."""


@dataclass(frozen=True)
class Observation:
    """What an agent sees before a step."""

    text: str
    mission: str
    step: int
    """From 0."""
    past: Past | None = None
    """None before the first step."""
    picture: Callable[[], Picture] = field(default=lambda: np.zeros((0, 0, 3), np.uint8), repr=False)
    """Draws the agent's view, uint8 [112, 112, 3]; only when called."""


@dataclass(frozen=True)
class Move:
    """An action with what the agent thought, for the journal's column `thinking`."""

    action: str
    thinking: str | None = None


@dataclass(frozen=True)
class Ending:
    """How an episode ended."""

    observation: Observation
    """After the last action; its `step` is the number of steps."""
    success: bool
    episode_return: float


class Agent(Protocol):
    """One object per episode, made by a class or function that takes the `Episode`.

    It may have a second method, `async finished(ending: Ending) -> None`, which is called once after the last
    step and may ask too: these calls count for the episode and for none of its steps.
    """

    async def act(self, observation: Observation) -> str | Move:
        """The next action, one of ACTIONS word for word; anything else counts as an invalid answer."""


MakeAgent = Callable[[Episode], Agent]
