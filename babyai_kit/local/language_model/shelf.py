"""The models that are ready to be asked, and the thread in which PyTorch works for them."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from babyai_kit.errors import ConfigError
from babyai_kit.local.language_model.constraints import Constraints
from babyai_kit.local.language_model.embedding import embed
from babyai_kit.local.language_model.generator import CACHED_TOKENS, Generator
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.prefix_cache import CacheBudget
from babyai_kit.local.language_model.speed import fastest_threads
from babyai_kit.local.player.protocol import ProtocolError

MODELS_IN_MEMORY = 4
"""Models that are kept ready; others are loaded again when they are asked."""


def torch_thread(threads: int | None, name: str) -> ThreadPoolExecutor:
    """A single thread, within which PyTorch may use `threads` threads; None: as many as are fastest."""
    return ThreadPoolExecutor(
        1, name, initializer=lambda: torch.set_num_threads(threads or fastest_threads())
    )


@dataclass
class Ready:
    """A model that is loaded."""

    model: Llama
    generator: Generator


class Shelf:
    """The models that are ready, by folder. To be used in one thread only."""

    def __init__(self, library: Library, *, places: int = MODELS_IN_MEMORY) -> None:
        self.library, self._places = library, places
        self._ready: OrderedDict[Path | None, Ready] = OrderedDict()
        self._budget = CacheBudget(CACHED_TOKENS)
        self._constraints: Constraints | None = None

    def take(self, folder: Path | None) -> Ready:
        """The model of `folder`, loaded if it is not ready; the one not used for longest makes room.

        Raises ProtocolError (404) if the folder's weights cannot be read, and ConfigError for the base's.
        """
        if folder not in self._ready:
            idle = [key for key, ready in self._ready.items() if not ready.generator.busy]
            for key in idle[: max(0, len(self._ready) - self._places + 1)]:
                self._put_away(key)
            model = self._open(folder)
            self._ready[folder] = Ready(model, Generator(model, self._budget))
        self._ready.move_to_end(folder)
        return self._ready[folder]

    def forget(self, folder: Path) -> None:
        """Put away the models of `folder` and of those within it, but for one that answers just then."""
        for key, ready in list(self._ready.items()):
            if key and key.is_relative_to(folder) and not ready.generator.busy:
                self._put_away(key)

    def _put_away(self, folder: Path | None) -> None:
        self._ready.pop(folder).generator.forget()

    def _open(self, folder: Path | None) -> Llama:
        try:
            return self.library.open(folder)
        except ConfigError as error:
            if folder is None:
                raise
            raise ProtocolError(404, str(error), code="model_not_found", param="model") from None

    def embed(self, folder: Path | None, text: str) -> tuple[list[float], int]:
        """The vector of a text by the model of `folder`, and its tokens; it is cut at the model's context."""
        model = self.take(folder).model
        tokenizer = self.library.tokenizer
        # There are characters that it does not know at all.
        tokens = tokenizer.encode(text)[: model.shape.context] or [tokenizer.end]
        return embed(model, tokens), len(tokens)

    @property
    def constraints(self) -> Constraints:
        if self._constraints is None:
            self._constraints = Constraints(self.library.tokenizer)
        return self._constraints
