"""Which trainer stands behind a model's name: base models and the results of fine-tuning jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyai_kit.local.player.job_store import JobStore
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
        if name in self._bases:
            return ModelSource(self._bases[name], name)
        if not name.startswith("ft:"):
            return None
        model, _, step = name.partition(":ckpt-step-")
        job = next((job for job in self._jobs.all() if job["fine_tuned_model"] == model), None)
        origin = self.find(job["model"]) if job else None
        if job is None or origin is None:
            return None
        folder = self._jobs.work_folder(job["id"])
        if step:
            folder /= f"step-{step}" if step.isdecimal() else ""
        return ModelSource(origin.trainer, origin.base, folder) if folder.is_dir() else None

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
        source = self.find(job["model"])
        base = source.base if source else job["model"]
        suffix = re.sub(r"[^A-Za-z0-9._-]+", "-", job["user_provided_suffix"] or "").strip("-")[:40]
        return f"ft:{base}:{ORGANIZATION}:{suffix}:{job['id'][-8:]}"
