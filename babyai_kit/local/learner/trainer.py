"""The learner as the offline player's server knows it: a base model that is served and can be fine-tuned.

Knows the server's jobs (see offline_player.training), files and folders; the learning itself is in
`training`. A job's folder holds the weights, and folders with the weights at its checkpoints. A job that was
broken off begins again and, with the same seed, comes to the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterable
from pathlib import Path

from tqdm.auto import tqdm

from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.local.learner.base_model import BaseRecipe, base_model
from babyai_kit.local.learner.batching import BatchedPlayer, worker
from babyai_kit.local.learner.conversations import read_records
from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.training import Progress, Recipe, measure, train
from babyai_kit.local.learner.weights import load, save
from babyai_kit.local.learner.windows import Windows
from babyai_kit.local.player.trainer import Report, TrainingError, TrainingJob
from babyai_kit.local.player.training_file import read_examples

RATE = 1e-3
EXAMPLES_IN_WINDOW = 6
"""About as many; turns OpenAI's batch_size, which counts examples, into windows."""
SMALLEST_BATCH, LARGEST_BATCH, STEPS_IN_EPOCH = 24, 192, 16
"""Without a batch_size: examples a step, and about how many steps an epoch of few examples has."""
CHECKPOINTS = (1 / 3, 2 / 3)
"""Shares of the steps after which a checkpoint is kept."""
REPORTS = 20
"""Times that a job tells its figures."""


class Learner:
    """A trainer for `OfflinePlayer(trainers=[Learner(folder)])`.

    folder: where the base model is kept; built on first use, with a progress bar. recipe: of the base model.
    threads: of PyTorch, for answers and for training each. One is right for models this small wherever the
    cores have other work too: threads that wait for each other cost more than they bring (measured).
    """

    resumable = True

    def __init__(
        self,
        folder: str | Path,
        *,
        recipe: BaseRecipe | None = None,
        threads: int = 1,
        progress: bool = True,
    ) -> None:
        self.models = (LEARNER_MODEL,)
        self._folder, self._recipe, self._progress = Path(folder), recipe or BaseRecipe(), progress
        self._thread = worker(threads)
        self._training = worker(threads)

    def base(self) -> Transformer:
        """The base model, built first if need be. Blocks."""
        return self._training.submit(self._base).result()  # a thread that has its number of threads

    def _base(self) -> Transformer:
        bars: list[tqdm] = []

        def told(progress: Progress) -> None:
            if not bars:  # only now is it sure that the model is not there yet
                bars.append(tqdm(desc="base model", unit="step", total=progress.of))
            bars[0].update()

        try:
            return base_model(self._folder, self._recipe, told if self._progress else lambda progress: None)
        finally:
            for bar in bars:
                bar.close()

    def player(self, model: str, folder: Path | None) -> BatchedPlayer:
        return BatchedPlayer(self._base if folder is None else lambda: load(folder), self._thread)

    async def train(self, job: TrainingJob, report: Report) -> None:
        stop = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(self._training, self._train, job, report, stop)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            with contextlib.suppress(Exception):
                await work
            raise

    def _train(self, job: TrainingJob, report: Report, stop: threading.Event) -> None:
        windows = Windows(list(read_records((e.prompt, e.answer) for e in read_examples(job.training_file))))
        if not windows.actions:
            raise TrainingError("No example ends with one of the six actions, all that this model can learn")
        held_out = _held_out(job.validation_file)
        model = load(job.base_folder) if job.base_folder else self._base()
        recipe = _recipe(job, windows.actions)
        seen = _Mean()
        for done in train(model, windows, recipe):
            if stop.is_set():
                return
            seen.add(done)
            checkpoint = done.step in {math.ceil(share * done.of) for share in CHECKPOINTS}
            if checkpoint or done.step == done.of or done.step % max(1, done.of // REPORTS) == 0:
                figures = seen.take() | _figures(model, held_out)
                report.metrics(done.step, **figures)
                if checkpoint and done.step < done.of:
                    save(model, job.folder / f"step-{done.step}")
                    report.checkpoint(done.step, figures)
        save(model, job.folder)


class _Mean:
    """Mean figures over the steps since they were last told."""

    def __init__(self) -> None:
        self._steps: list[Progress] = []

    def add(self, progress: Progress) -> None:
        self._steps.append(progress)

    def take(self) -> dict[str, float]:
        steps, self._steps = self._steps, []
        return {
            "train_loss": sum(p.loss for p in steps) / len(steps),
            "train_mean_token_accuracy": sum(p.accuracy for p in steps) / len(steps),
        }


def _recipe(job: TrainingJob, examples: int) -> Recipe:
    given = job.hyperparameters
    # Few examples need small batches, or there would be too few steps to learn in.
    batch_size = given.get("batch_size", max(SMALLEST_BATCH, min(LARGEST_BATCH, examples // STEPS_IN_EPOCH)))
    return Recipe(
        epochs=given["n_epochs"],
        learning_rate=RATE * given.get("learning_rate_multiplier", 1.0),
        rows=max(1, round(batch_size / EXAMPLES_IN_WINDOW)),
        seed=job.seed,
    )


def _held_out(file: Path | None) -> Windows | None:
    if file is None:
        return None
    examples: Iterable = read_examples(file, fewest=1)
    windows = Windows(list(read_records((e.prompt, e.answer) for e in examples)), symmetries=False)
    return windows if windows.actions else None


def _figures(model: Transformer, held_out: Windows | None) -> dict[str, float]:
    if held_out is None:
        return {}
    model.eval()
    loss, accuracy = measure(model, held_out)
    model.train()
    return {"valid_loss": loss, "valid_mean_token_accuracy": accuracy}
