"""What the kit needs of a gateway, and nothing more.

`Gateway` is the whole of it for a run: ask, send feedback, flush, close. What else a gateway can do is a
protocol each; `isinstance` tells whether it can. TensorZero's client (`tensorzero_client`) is the one
implementation, and the tests have a minimal second one.

Every method raises ModelError, GatewayError or StoreError, whose messages may still hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from babyai_kit.agents.interface import Turn
from babyai_kit.configuration.dialects import Dialect


@dataclass(frozen=True)
class ChatMessage:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[bytes, ...] = ()
    """PNG files."""


@dataclass(frozen=True)
class Question:
    """One call: of the function `act` with template arguments, or of the function `chat` with messages."""

    variant: str
    episode_id: str
    """A UUIDv7, from `Gateway.new_episode_id` or a workflow evaluation."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the variant's user template."""
    earlier: tuple[Turn, ...] = ()
    """Of a dialogue, in front of the message with these arguments."""
    messages: tuple[ChatMessage, ...] | None = None
    """Of a chat; a system message only at its beginning."""
    model: str = ""
    """That plays the variant; empty: the variant's own, or that of the settings."""
    served_as: str = ""
    """The gateway's variant of `act`; empty: `variant`."""
    pinned: bool = False
    """The episode belongs to a workflow evaluation, whose run names the variant."""
    tags: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    thinking_budget_tokens: int | None = None
    dialect: Dialect = field(default_factory=Dialect)
    """How the model's server wants to be asked; the default: as the variant is configured."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer is held to, if the dialect says so."""
    provider: str = "openai"
    """The gateway's type of provider, whose API the request is written for; the session knows it."""
    dryrun: bool = False
    """The model is asked, nothing is stored."""


@dataclass(frozen=True)
class Answer:
    """One answered call. Tokens are None without usage, cost_usd (US dollars) without a price."""

    raw: str | None
    parsed: Any
    """The answer as JSON if it satisfies the output schema, else None."""
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    inference_id: str
    finish_reason: str | None = None
    """Why the model stopped, as the gateway names it: stop, length, content_filter, ...; None: not told."""
    model: str | None = None
    """What the model server calls its model; known after dry runs only."""
    call_s: float = 0.0
    """Seconds from question to answer; the session measures them."""
    cached_tokens: int | None = None
    """Of input_tokens, those read from the provider's cache; None if it does not say. Likewise the others."""
    cache_written_tokens: int | None = None
    """Of input_tokens, those written to it."""
    reasoning_tokens: int | None = None
    """Of output_tokens, those that the model thought with."""

    @property
    def usage(self) -> tuple[int, int, int, int] | None:
        """Tokens in, out, cached and written, as a price takes them; None without usage."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens, self.output_tokens, self.cached_tokens or 0, self.cache_written_tokens or 0


@dataclass(frozen=True)
class StoredInference:
    """One inference as the gateway recorded it."""

    inference_id: str
    episode_id: str
    tags: Mapping[str, str]
    arguments: Mapping[str, Any]
    """Of the user template; in a dialogue, of its last message."""
    raw: str | None
    parsed: Any
    messages: tuple[tuple[str, str], ...] = ()
    """Of a chat: (role, text) in order."""
    earlier: tuple[Turn, ...] = ()
    """Of a dialogue."""


class Gateway(Protocol):
    """An open gateway."""

    def new_episode_id(self) -> str:
        """A fresh UUIDv7 for a plain episode, dated so that no gateway takes it for one from the future."""

    async def ask(self, question: Question) -> Answer:
        """Ask once, without retry."""

    async def feedback(
        self, metric: str, value: bool | float, episode_id: str, tags: Mapping[str, str]
    ) -> None:
        """Store one metric of an episode, of which an inference must be stored already."""

    async def flush(self) -> None:
        """Return when the answers given so far are, in an undisturbed store, visible to queries."""

    async def close(self, timeout_s: float) -> bool:
        """Hand every pending row to the store and let go; False if that took longer than `timeout_s`."""


@runtime_checkable
class EvaluatesWorkflows(Protocol):
    """Can group episodes so that a UI compares variants task by task."""

    async def start_evaluation(
        self, variants: Mapping[str, str], project: str, name: str, tags: Mapping[str, str]
    ) -> str:
        """Open an evaluation run of `variants` by function, shown as `name` of `project`; its id."""

    async def start_evaluated_episode(self, evaluation_id: str, task: str, tags: Mapping[str, str]) -> str:
        """Open an episode of an evaluation run; its id. Runs are compared by `task`."""


@runtime_checkable
class ListsInferences(Protocol):
    """Can read back what it recorded."""

    async def stored_inferences(
        self, variant: str, run: str, *, chats: bool = False
    ) -> list[StoredInference]:
        """Every stored inference of `variant` whose tag `run` is `run`; `chats`: of the function `chat`."""


@runtime_checkable
class FineTunes(Protocol):
    """Can fine-tune a model on stored inferences by itself."""

    async def fill_dataset(self, name: str, inference_ids: Sequence[str]) -> None:
        """Put these inferences into the dataset `name`, each once."""

    async def launch_workflow(
        self, variant: str, dataset: str, optimizer: Mapping[str, Any], val_fraction: float | None
    ) -> dict[str, Any]:
        """Start a fine-tuning job on `dataset` with the prompts of `variant`; its job_id and job_api_url."""
