"""The meeting point between the server and a kind of model behind it: what a trainer has to offer.

A trainer serves base models, as players, and fine-tunes them: it gets validated files (see `training_file`)
and a folder of its own, and reports to a TrainingLog.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.completion import ModelAnswer

if TYPE_CHECKING:
    from babyai_kit.local.player.hyperparameters import Hyperparameters

Answer = str | ModelAnswer | AsyncGenerator[ModelAnswer, None]
"""A text, or more of it with ModelAnswer. If the request has `stream`, it may come as it grows: beginnings,
each longer than the last and marked `growing`, and then the whole answer."""
Player = Callable[[ChatRequest], "Answer | Awaitable[Answer]"]
"""From a request to the answer.

A model honours the request's temperature, top_p, seed, stop, max_tokens, schema and logprobs. A text is cut
at `stop` and `max_tokens` for it, a ModelAnswer only at `stop`. May raise ProtocolError (400) for what the
model cannot do, such as a schema that it does not know or a prompt that is too long."""


@dataclass(frozen=True)
class Embeddings:
    """A vector of length 1 for each text, all of as many numbers, and the tokens of all texts."""

    vectors: Sequence[Sequence[float]]
    tokens: int


Embedder = Callable[[Sequence[str]], Awaitable[Embeddings]]
"""From texts to their embeddings."""


class TrainingError(Exception):
    """Training data or settings that cannot be learned from; the job fails with this message."""

    def __init__(
        self, message: str, *, code: str = "invalid_training_file", param: str | None = "training_file"
    ) -> None:
        super().__init__(message)
        self.code, self.param = code, param


@dataclass(frozen=True)
class TrainingJob:
    """A job as a trainer sees it."""

    id: str
    model: str
    """One of the trainer's `models`, also when the job continues from a fine-tuned model."""
    training_file: Path
    """JSONL in OpenAI's chat form, already validated; `training_file.read_examples` reads it."""
    validation_file: Path | None
    seed: int
    hyperparameters: Mapping[str, Any]
    """Validated, without those that are None or "auto"; `n_epochs` (from 1 to 50) is always there."""
    suffix: str
    folder: Path
    """The trainer's own, created before it is called; it survives a restart. Weights go here."""
    state_folder: Path
    """For what an interrupted job needs to go on. Not created; deleted when the job has ended."""
    base_folder: Path | None = None
    """Folder of the job whose model this one continues from; None: the base model."""


class TrainingLog(Protocol):
    """What a trainer reports while it works, from any thread."""

    def event(self, message: str, *, level: str = "info", data: Mapping[str, Any] | None = None) -> None:
        """Add a line to the job's events. `level`: info, warn or error."""
        ...

    def metrics(self, step: int, **values: float) -> None:
        """Report the metrics of one step, under OpenAI's names where they fit: train_loss, valid_loss,
        train_mean_token_accuracy, valid_mean_token_accuracy. They become an event and a row of the result
        file."""
        ...

    def checkpoint(self, step: int, metrics: Mapping[str, float]) -> None:
        """Report a checkpoint. It is served as a model if the trainer has first written the folder
        `step-STEP`, in the form of its own folder."""
        ...


class Trainer(ABC):
    """A kind of model that the server serves and fine-tunes."""

    models: Sequence[str]
    """Names of the base models."""
    owner: str
    """`owned_by` of its models' cards: what kind of model they are."""
    fingerprint: str
    """`system_fingerprint` of its models' answers."""
    resumable: bool
    """True if `train` may be called again for a job that a restart interrupted."""

    def prepare(self) -> None:
        """Build or load what the base models need, so that the first call does not wait for it. Blocks."""
        return

    def hyperparameters(self) -> type[Hyperparameters]:
        """Which hyperparameters a job may have, their ranges and defaults; OpenAI's, unless overridden."""
        from babyai_kit.local.player.hyperparameters import Hyperparameters

        return Hyperparameters

    @abstractmethod
    def player(self, model: str, folder: Path | None) -> Player:
        """Who answers for base `model` (folder None), or for the finished job that `folder` belongs to."""

    def embedder(self, model: str, folder: Path | None) -> Embedder | None:
        """The embeddings of a model, named as for `player`, which is not loaded yet; None: it has none."""
        return None

    def forget(self, folder: Path) -> None:  # noqa: B027 (most trainers keep nothing)
        """The models in `folder`, and in folders of it, were deleted: they need no memory any longer."""

    @abstractmethod
    async def train(self, job: TrainingJob, log: TrainingLog) -> int | None:
        """Fine-tune. Must not block the event loop; is cancelled when the job is. Raises TrainingError.

        Returns how many tokens were trained on; None: the whole training file `n_epochs` times.
        """
