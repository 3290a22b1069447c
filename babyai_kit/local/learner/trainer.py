"""The learner as the offline player's server knows it: a base model that is served and can be fine-tuned.

A job's folder holds the weights, and a folder with the weights of each checkpoint. A job that was interrupted
starts again and, with the same seed, ends with the same weights.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.local.learner import FINGERPRINT, OWNER
from babyai_kit.local.learner.base_model import BaseRecipe, load_base_model
from babyai_kit.local.learner.batching import BatchedPlayer, Generate, torch_thread
from babyai_kit.local.learner.build_report import BuildReport
from babyai_kit.local.learner.conversations import read_records
from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.sampling import generate
from babyai_kit.local.learner.training import Progress, Recipe, measure, train
from babyai_kit.local.learner.weights import load, save
from babyai_kit.local.learner.windows import Windows
from babyai_kit.local.player.trainer import Trainer, TrainingError, TrainingJob, TrainingLog
from babyai_kit.local.player.training_file import read_examples

LEARNING_RATE = 1e-3
EXAMPLES_PER_WINDOW = 6
"""Approximately; converts OpenAI's batch_size, which counts examples, into windows."""
MIN_BATCH_SIZE, MAX_BATCH_SIZE, STEPS_PER_EPOCH = 24, 192, 16
"""Without a batch_size: examples per step, and about how many steps an epoch of few examples has."""
CHECKPOINTS = (1 / 3, 2 / 3)
"""Shares of the steps after which a checkpoint is kept."""
REPORTS = 20
"""How many times a job reports its metrics."""


class Learner(Trainer):
    """A trainer for `OfflinePlayer(trainers=[Learner(folder)])`.

    folder: where the base model is kept; built on first use. recipe: of the base model. progress: print how
    far it is built. threads: of PyTorch, for answers and for training each. One is best for models this small
    wherever the cores have other work too: threads that wait for each other cost more than they gain
    (measured).
    generate: how a batch of calls is answered.
    """

    models = (LEARNER_MODEL,)
    owner = OWNER
    fingerprint = FINGERPRINT
    resumable = True

    def __init__(
        self,
        folder: str | Path,
        *,
        recipe: BaseRecipe | None = None,
        threads: int = 1,
        progress: bool = True,
        generate: Generate = generate,
    ) -> None:
        self._folder, self._recipe, self._progress = Path(folder), recipe or BaseRecipe(), progress
        self._answering, self._training = torch_thread(threads), torch_thread(threads)
        self._generate = generate

    def prepare(self) -> None:
        # In the thread where PyTorch has its number of threads.
        self._training.submit(self._base_model).result()

    def _base_model(self) -> Transformer:
        report = BuildReport(partial(print, flush=True)) if self._progress else None
        return load_base_model(self._folder, self._recipe, on_progress=report)

    def player(self, model: str, folder: Path | None) -> BatchedPlayer:
        def load_model() -> Transformer:
            return self._base_model() if folder is None else load(folder)

        return BatchedPlayer(load_model, self._answering, generate=self._generate)

    async def train(self, job: TrainingJob, log: TrainingLog) -> None:
        stop = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(self._training, self._train, job, log, stop)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            with contextlib.suppress(Exception):
                await work
            raise

    def _train(self, job: TrainingJob, log: TrainingLog, stop: threading.Event) -> None:
        windows = _read_windows(job.training_file)
        if not windows.actions:
            raise TrainingError("No example ends with one of the six actions, all that this model can learn")
        validation = None
        if job.validation_file is not None:
            validation = _read_windows(job.validation_file, symmetries=False)
        model = load(job.base_folder) if job.base_folder else self._base_model()
        recent: list[Progress] = []
        for progress in train(model, windows, _recipe(job, windows.actions)):
            if stop.is_set():
                return
            recent.append(progress)
            step, steps = progress.step, progress.steps
            checkpoint = step < steps and step in {math.ceil(share * steps) for share in CHECKPOINTS}
            if checkpoint or step == steps or step % max(1, steps // REPORTS) == 0:
                metrics = _training_metrics(recent) | _validation_metrics(model, validation)
                recent = []
                log.metrics(step, **metrics)
                if checkpoint:
                    save(model, job.folder / f"step-{step}")
                    log.checkpoint(step, metrics)
        save(model, job.folder)


def _read_windows(path: Path, *, symmetries: bool = True) -> Windows:
    examples = read_examples(path, min_examples=1)
    records = read_records((example.prompt, example.answer) for example in examples)
    return Windows(list(records), symmetries=symmetries)


def _recipe(job: TrainingJob, examples: int) -> Recipe:
    # Few examples need small batches, or there would be too few steps to learn in.
    default = max(MIN_BATCH_SIZE, min(MAX_BATCH_SIZE, examples // STEPS_PER_EPOCH))
    batch_size = job.hyperparameters.get("batch_size", default)
    return Recipe(
        epochs=job.hyperparameters["n_epochs"],
        learning_rate=LEARNING_RATE * job.hyperparameters.get("learning_rate_multiplier", 1.0),
        rows=max(1, round(batch_size / EXAMPLES_PER_WINDOW)),
        seed=job.seed,
    )


def _training_metrics(steps: Sequence[Progress]) -> dict[str, float]:
    """Means over `steps`."""
    return {
        "train_loss": sum(step.loss for step in steps) / len(steps),
        "train_mean_token_accuracy": sum(step.accuracy for step in steps) / len(steps),
    }


def _validation_metrics(model: Transformer, windows: Windows | None) -> dict[str, float]:
    if windows is None or not windows.actions:
        return {}
    model.eval()
    loss, accuracy = measure(model, windows)
    model.train()
    return {"valid_loss": loss, "valid_mean_token_accuracy": accuracy}
