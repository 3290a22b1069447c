"""A trainer that is loaded when it is first used, and not before.

Loading a deep learning library takes longer than the rest of a start, and most runs with one installed use
another model.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.trainer import (
    Answer,
    Embedder,
    Embeddings,
    Player,
    Trainer,
    TrainingJob,
    TrainingLog,
)

if TYPE_CHECKING:
    from babyai_kit.local.player.hyperparameters import Hyperparameters


class LazyTrainer(Trainer):
    """Stands in for the trainer that `load` returns; `load` is called once, off the event loop.

    The other parameters are what the server asks of a trainer without loading it.
    embeds: whether its models have embeddings.
    """

    def __init__(
        self,
        load: Callable[[], Trainer],
        *,
        models: Sequence[str],
        owner: str,
        fingerprint: str,
        resumable: bool = True,
        hyperparameters: Callable[[], type[Hyperparameters]] | None = None,
        embeds: bool = False,
    ) -> None:
        self.models, self.owner, self.fingerprint, self.resumable = models, owner, fingerprint, resumable
        self._hyperparameters = hyperparameters or super().hyperparameters
        self._embeds = embeds
        self._loader, self._lock = load, threading.Lock()
        self._trainer: Trainer | None = None

    def prepare(self) -> None:
        self.load().prepare()

    def load(self) -> Trainer:
        """The trainer itself. Blocks at the first call."""
        with self._lock:
            if self._trainer is None:
                self._trainer = self._loader()
            return self._trainer

    def hyperparameters(self) -> type[Hyperparameters]:
        return self._hyperparameters()

    def player(self, model: str, folder: Path | None) -> Player:
        player: Player | None = None

        async def answer(request: ChatRequest) -> Answer:
            nonlocal player
            if player is None:
                trainer = await asyncio.to_thread(self.load)
                # Calls that waited together share one player, and with it their batches.
                player = player or trainer.player(model, folder)
            result = player(request)
            return await result if isinstance(result, Awaitable) else result

        return answer

    def embedder(self, model: str, folder: Path | None) -> Embedder | None:
        embedder: Embedder | None = None

        async def embed(texts: Sequence[str]) -> Embeddings:
            nonlocal embedder
            if embedder is None:
                trainer = await asyncio.to_thread(self.load)
                embedder = embedder or trainer.embedder(model, folder)
                assert embedder is not None, f"{model} was declared to have embeddings"
            return await embedder(texts)

        return embed if self._embeds else None

    def forget(self, folder: Path) -> None:
        if self._trainer is not None:
            self._trainer.forget(folder)

    async def train(self, job: TrainingJob, log: TrainingLog) -> int | None:
        trainer = await asyncio.to_thread(self.load)
        return await trainer.train(job, log)
