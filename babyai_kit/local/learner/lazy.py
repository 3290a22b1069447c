"""The learner as the server holds it until somebody asks for it: PyTorch is loaded then, and not before.

Loading takes longer than all the rest of a start, and most runs with PyTorch installed play something else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.local.player.chat_endpoint import Player
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.completion import Said
from babyai_kit.local.player.trainer import Report, TrainingJob

if TYPE_CHECKING:
    from babyai_kit.local.learner.batching import BatchedPlayer
    from babyai_kit.local.learner.trainer import Learner


class LearnerOnDemand:
    """A trainer for `OfflinePlayer(trainers=[...])`; `make` makes the learner, once, off the loop."""

    models = (LEARNER_MODEL,)
    resumable = True

    def __init__(self, make: Callable[[], Learner]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: Learner | None = None

    def load(self) -> Learner:
        """The learner itself. Blocks at the first call."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def player(self, model: str, folder: Path | None) -> Player:
        made: BatchedPlayer | None = None

        async def answer(request: ChatRequest) -> Said:
            nonlocal made
            if made is None:
                learner = await asyncio.to_thread(self.load)
                # Calls that waited together share one player, and with it their batches.
                made = made or learner.player(model, folder)
            return await made(request)

        return answer

    async def train(self, job: TrainingJob, report: Report) -> None:
        learner = await asyncio.to_thread(self.load)
        await learner.train(job, report)
