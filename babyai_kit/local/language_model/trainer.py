"""The language model as the offline player's server knows it: served, and fine-tuned in jobs.

A job's folder holds the weights that it changed, and a folder with those of each checkpoint. While it works,
its state is kept beside: a job that was interrupted goes on from it and ends with the same weights.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from babyai_kit.atomic_files import atomic_part
from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.errors import ConfigError
from babyai_kit.local.language_model import FINGERPRINT, OWNER
from babyai_kit.local.language_model.chat import ChatPlayer
from babyai_kit.local.language_model.conversations import tokenized
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.packing import Example
from babyai_kit.local.language_model.shelf import Shelf, torch_thread
from babyai_kit.local.language_model.training import PREFIX_AGE, Progress, Recipe, Training, measure
from babyai_kit.local.player.hyperparameters import Hyperparameters as CommonHyperparameters
from babyai_kit.local.player.trainer import (
    Embedder,
    Embeddings,
    Trainer,
    TrainingError,
    TrainingJob,
    TrainingLog,
)
from babyai_kit.local.player.training_file import read_examples

LEARNING_RATE, LOW_RANK_LEARNING_RATE = 2e-4, 1e-3
BATCH_EXAMPLES, MIN_UPDATES = 18, 10
"""Without a batch_size: examples in an update, fewer where an epoch would have fewer updates."""
CHECKPOINTS = (1 / 3, 2 / 3)
"""Shares of the training after which a checkpoint is kept."""
REPORTS = 20
"""How many times a job reports its metrics."""
VALIDATION_EXAMPLES = 100
"""At most, of those of the validation file: each report measures them."""
STATE_FILE = "state.pt"
STATE_INTERVAL_S = 120.0


class LanguageModel(Trainer):
    """A trainer for `OfflinePlayer(trainers=[LanguageModel()])`.

    library: whose base model it is; None: of the installed one. threads: of PyTorch, for answers and for
    training each; on cores that have other work too, more than one cost more than they gain (measured).
    state_interval_s: how often a job's state is written.
    """

    models = (LANGUAGE_MODEL,)
    owner = OWNER
    fingerprint = FINGERPRINT
    resumable = True

    def __init__(
        self,
        library: Library | None = None,
        *,
        threads: int | None = 1,
        state_interval_s: float = STATE_INTERVAL_S,
    ) -> None:
        self._library, self._state_interval_s = library or Library(), state_interval_s
        self._shelf = Shelf(self._library)
        self._answering = torch_thread(threads, "answers")
        self._training = torch_thread(threads, "training")

    def prepare(self) -> None:
        self._answering.submit(self._shelf.take, None).result()

    def hyperparameters(self) -> type[CommonHyperparameters]:
        from babyai_kit.local.language_model.hyperparameters import Hyperparameters

        return Hyperparameters

    def player(self, model: str, folder: Path | None) -> ChatPlayer:
        return ChatPlayer(self._shelf, folder, self._answering)

    def embedder(self, model: str, folder: Path | None) -> Embedder:
        async def embed(texts: Sequence[str]) -> Embeddings:
            run = asyncio.get_running_loop().run_in_executor
            # One at a time, so that answers need not wait for all of them.
            pairs = [await run(self._answering, self._shelf.embed, folder, text) for text in texts]
            return Embeddings([vector for vector, _ in pairs], sum(tokens for _, tokens in pairs))

        return embed

    def forget(self, folder: Path) -> None:
        self._answering.submit(self._shelf.forget, folder)

    async def train(self, job: TrainingJob, log: TrainingLog) -> int:
        stop = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(self._training, self._train, job, log, stop)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            with contextlib.suppress(Exception):
                await work
            raise

    def _train(self, job: TrainingJob, log: TrainingLog, stop: threading.Event) -> int:
        examples = self._examples(job.training_file, "training_file", log)
        validation = []
        if job.validation_file is not None:
            validation = self._examples(job.validation_file, "validation_file", log)[:VALIDATION_EXAMPLES]
        model = self._copy(job.base_folder)
        training = Training(model, examples, recipe(job, len(examples)))
        state_file = job.state_folder / STATE_FILE
        if state_file.exists():
            training.restore(torch.load(state_file, weights_only=True, map_location=self._library.device))
            log.event(f"Going on after step {training.step}")
        recent: list[Progress] = []
        share = training.share
        written = time.monotonic()
        for progress in training.run():
            if stop.is_set():
                return training.tokens
            recent.append(progress)
            step = progress.step
            before, share = share, training.share
            checkpoint = share < 1 and any(before < due <= share for due in CHECKPOINTS)
            if checkpoint or share == 1 or int(before * REPORTS) < int(share * REPORTS):
                metrics = _training_metrics(recent)
                if validation:
                    loss, accuracy = measure(model, validation)
                    metrics |= {"valid_loss": loss, "valid_mean_token_accuracy": accuracy}
                recent = []
                log.metrics(step, **metrics)
                if checkpoint:
                    self._library.save(model, job.folder / f"step-{step}")
                    log.checkpoint(step, metrics)
            if step % PREFIX_AGE == 0 and time.monotonic() - written >= self._state_interval_s:
                _write_state(training, state_file)
                written = time.monotonic()
        self._library.save(model, job.folder)
        return training.tokens

    def _copy(self, folder: Path | None) -> Llama:
        try:
            return self._library.copy(folder)
        except ConfigError as error:
            raise TrainingError(str(error), code="model_not_available", param="model") from None

    def _examples(self, path: Path, param: str, log: TrainingLog) -> list[Example]:
        """Those of a job's file that are not too long; the log tells how many are. `param` names the file."""
        context = self._library.base.shape.context
        conversations = read_examples(path, min_examples=1, param=param)
        examples = list(tokenized(conversations, self._library.tokenizer, max_tokens=context))
        name, limit = param.replace("_", " "), f"{context} tokens, the longest this model can read"
        if not examples:
            message = f"Every example of the {name} has more than {limit}"
            raise TrainingError(message, code=f"invalid_{param}", param=param)
        if left_out := len(conversations) - len(examples):
            message = (
                f"{left_out} of {len(conversations)} examples of the {name} left out: longer than {limit}"
            )
            log.event(message, level="warn", data={"left_out": left_out, "file": param})
        return examples


def recipe(job: TrainingJob, examples: int) -> Recipe:
    """How the job's `examples` are learned."""
    chosen = job.hyperparameters
    rank = chosen.get("lora_rank", "none")
    rate = LEARNING_RATE if rank == "none" else LOW_RANK_LEARNING_RATE
    return Recipe(
        epochs=chosen["n_epochs"],
        learning_rate=rate * chosen.get("learning_rate_multiplier", 1.0),
        batch_examples=chosen.get("batch_size", max(1, min(BATCH_EXAMPLES, examples // MIN_UPDATES))),
        frozen_layers=chosen.get("frozen_layers", Recipe.frozen_layers),
        rank=None if rank == "none" else rank,
        seed=job.seed,
    )


def _training_metrics(updates: Sequence[Progress]) -> dict[str, float]:
    """Means over `updates`."""
    return {
        "train_loss": sum(update.loss for update in updates) / len(updates),
        "train_mean_token_accuracy": sum(update.accuracy for update in updates) / len(updates),
    }


def _write_state(training: Training, path: Path) -> None:
    with atomic_part(path) as part:
        torch.save(training.state(), part)
