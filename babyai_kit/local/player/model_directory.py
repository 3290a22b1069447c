"""Which trainer stands behind a model's name: base models and the results of fine-tuning jobs."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyai_kit.configuration.models import CHECKPOINT
from babyai_kit.local.player.job_store import ENDED, JobStore
from babyai_kit.local.player.protocol import ProtocolError
from babyai_kit.local.player.trainer import Embedder, Player, Trainer

ORGANIZATION = "offline"


@dataclass(frozen=True)
class ServedModel:
    """A model as the chat endpoint serves it: who answers, and how the API describes it (see Trainer)."""

    player: Player
    owner: str
    fingerprint: str
    embedder: Embedder | None = None


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from."""

    trainer: Trainer
    base: str
    """Name of its base model."""
    folder: Path | None = None
    """Of its job or checkpoint; None: it is the base model."""

    def load(self) -> ServedModel:
        """Blocks."""
        return ServedModel(
            self.trainer.player(self.base, self.folder),
            owner=self.trainer.owner,
            fingerprint=self.trainer.fingerprint,
            embedder=self.trainer.embedder(self.base, self.folder),
        )


class ModelDirectory:
    """The models of `trainers`, and those that result from the jobs in `jobs`."""

    def __init__(self, trainers: Sequence[Trainer], jobs: JobStore) -> None:
        self._bases = {model: trainer for trainer in trainers for model in trainer.models}
        self._jobs = jobs

    def find(self, name: str) -> ModelSource | None:
        """Source of a base model, a fine-tuned model or a checkpoint; None if there is no such model."""
        base = self._base(name)
        if base is None or base == name:
            return ModelSource(self._bases[name], name) if base else None
        model, checkpoint, step = name.partition(CHECKPOINT)
        job = self._job(model)
        if job is None or (checkpoint and not step.isdecimal()):
            return None
        folder = self._jobs.work_folder(job["id"])
        if checkpoint:
            folder /= f"step-{step}"
        return ModelSource(self._bases[base], base, folder) if folder.is_dir() else None

    def delete(self, name: str) -> Path:
        """Take a fine-tuned model with its checkpoints, or one checkpoint, out of the directory.

        Returns the folder, with another name, in which its files still are: to be removed.
        Raises ProtocolError for a name that is not served (404), a base model (403), and a model from which a
        job that has not ended continues (409).
        """
        if name in self._bases:
            message = f"The model `{name}` is a base model; only fine-tuned models can be deleted."
            raise ProtocolError(403, message, param="model")
        source = self.find(name)
        if source is None or source.folder is None:
            message = f"The model `{name}` does not exist."
            raise ProtocolError(404, message, code="model_not_found", param="model")
        for job in self._jobs.all():
            if job["status"] not in ENDED and is_of(job["model"], name):
                message = f"Job {job['id']} is to continue from the model `{name}`; cancel it first."
                raise ProtocolError(409, message, param="model")
        gone = source.folder.with_name(f"{source.folder.name}.deleted")
        shutil.rmtree(gone, ignore_errors=True)
        source.folder.rename(gone)
        source.trainer.forget(source.folder)
        return gone

    async def load(self, name: str) -> ServedModel | None:
        """The model `name`, ready to answer; None if there is no such model."""
        source = self.find(name)
        return await asyncio.to_thread(source.load) if source else None

    def fine_tuned(self) -> dict[str, ModelSource]:
        """The fine-tuned models that are served, newest first."""
        names = [job["fine_tuned_model"] for job in self._jobs.all() if job["fine_tuned_model"]]
        sources = {name: self.find(name) for name in names}
        return {name: source for name, source in sources.items() if source}

    def result_name(self, job: dict[str, Any]) -> str:
        """Name of the model that results from `job`; always the same for one job."""
        base = self._base(job["model"]) or job["model"]
        suffix = re.sub(r"[^A-Za-z0-9._-]+", "-", job["user_provided_suffix"] or "").strip("-")[:40]
        return f"ft:{base}:{ORGANIZATION}:{suffix}:{job['id'][-8:]}"

    def _job(self, model: str) -> dict[str, Any] | None:
        """The job that made the fine-tuned `model`."""
        if not model.startswith("ft:"):
            return None
        return next((job for job in self._jobs.all() if job["fine_tuned_model"] == model), None)

    def _base(self, name: str) -> str | None:
        """The base model from which `name` comes, perhaps through models that are deleted; None: no model."""
        if name in self._bases:
            return name
        job = self._job(name.partition(CHECKPOINT)[0])
        return self._base(job["model"]) if job else None


def is_of(name: str, model: str) -> bool:
    """True if `name` is the `model` or a checkpoint of it."""
    return name == model or name.startswith(model + CHECKPOINT)
