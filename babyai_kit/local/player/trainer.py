"""What the server asks of something that can learn, and what it is told in return.

Knows the meeting point between the fine-tuning API and whatever learns behind it; neither HTTP nor any
way of learning. A trainer gets checked files (see `examples`) and a folder of its own, and is asked for
players: functions from a chat request to answer text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from babyai_kit.local.player.chat_endpoint import Player


class TrainingError(Exception):
    """Training data or settings that cannot be learned from; the job fails and passes the text on."""

    def __init__(
        self, message: str, *, code: str = "invalid_training_file", param: str | None = "training_file"
    ) -> None:
        super().__init__(message)
        self.code, self.param = code, param


@dataclass(frozen=True)
class TrainingJob:
    """One job, as a trainer sees it."""

    id: str
    model: str
    """One of the trainer's `models`, also when the job goes on from a fine-tuned model."""
    training_file: Path
    """JSONL in OpenAI's chat form, already checked; `examples.read_examples` reads it."""
    validation_file: Path | None
    seed: int
    hyperparameters: Mapping[str, Any]
    """`n_epochs` (whole number, 1 to 50) always; `batch_size` and `learning_rate_multiplier` if asked for."""
    suffix: str
    folder: Path
    """The trainer's own, there before it is called; it survives a restart. Weights go here."""
    base_folder: Path | None = None
    """Folder of the job whose model this one goes on from; None: the base model."""


class Report(Protocol):
    """What a trainer tells while it works, from any thread."""

    def event(self, message: str, *, level: str = "info", data: Mapping[str, Any] | None = None) -> None:
        """A line of the job's events. `level`: info, warn or error."""
        ...

    def metrics(self, step: int, **values: float) -> None:
        """Figures of one step, under OpenAI's names where they fit: train_loss, valid_loss,
        train_mean_token_accuracy, valid_mean_token_accuracy. They become an event and the result file."""
        ...

    def checkpoint(self, step: int, metrics: Mapping[str, float]) -> None:
        """A checkpoint; it is served as a model if the trainer has written the folder `step-STEP`, in the
        form of its own folder, before."""
        ...


class Trainer(Protocol):
    """Something that serves base models and can fine-tune them."""

    @property
    def models(self) -> Sequence[str]:
        """Names of the base models that it serves and fine-tunes."""
        ...

    @property
    def resumable(self) -> bool:
        """True if `train` may be called again for a job that a restart broke off."""
        ...

    def player(self, model: str, folder: Path | None) -> Player:
        """Who answers for base `model` (folder None), or for the finished job that `folder` belongs to."""
        ...

    async def train(self, job: TrainingJob, report: Report) -> None:
        """Learn. Must not block the event loop; is cancelled when the job is. Raises TrainingError."""
        ...
