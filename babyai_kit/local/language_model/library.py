"""The base model and the models made from it, as they are asked and trained: in the fastest number format.

What models share, their embeddings and their lowest layers, is in memory once.
"""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

import torch

from babyai_kit.local.language_model import weights
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.low_rank import merged_tensors
from babyai_kit.local.language_model.shape import LlamaShape
from babyai_kit.local.language_model.speed import fastest_format
from babyai_kit.local.language_model.tokenizer import ChatTokenizer


class Library:
    """Models over one base file. base: None: the installed pretrained model."""

    def __init__(self, base: weights.GgufFile | None = None, *, dtype: torch.dtype | None = None) -> None:
        self._given, self._dtype = base, dtype
        self._lock = threading.Lock()

    @cached_property
    def base(self) -> weights.GgufFile:
        """Raises ConfigError if the weights are not installed."""
        return self._given or weights.open_base()

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        return ChatTokenizer(self.base.tokenizer)

    @cached_property
    def device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def dtype(self) -> torch.dtype:
        """The number format of weights and activations."""
        return self._dtype or fastest_format(self.device)

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        return {name: tensor.to(self.device, self.dtype) for name, tensor in self.base.tensors().items()}

    def open(self, folder: Path | None) -> Llama:
        """The model stored in `folder`, or the base model: to be asked, not to be changed.

        Raises ConfigError if it cannot be read or was made from another base.
        """
        with self._lock:  # answers and training open models in threads of their own
            tensors = self._tensors
        if folder is not None:
            stored = weights.load(folder).complete(self.base, tensors)
            tensors = {name: tensor.to(self.device, self.dtype) for name, tensor in stored.items()}
        return _assembled(self.base.shape, tensors).eval()

    def copy(self, folder: Path | None) -> Llama:
        """The same with weights of its own, to be trained."""
        model = self.open(folder)
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return _assembled(self.base.shape, own)

    def save(self, model: Llama, folder: Path) -> None:
        """Store what of `model` differs from the base, low-rank updates merged. Raises FileWriteError."""
        made = weights.Weights(self.base.shape, merged_tensors(model))
        weights.save(made.without_unchanged(self.base, self._tensors), folder)


def _assembled(shape: LlamaShape, tensors: dict[str, torch.Tensor]) -> Llama:
    with torch.device("meta"):
        model = Llama(shape)
    model.load_state_dict(tensors, assign=True)
    return model
