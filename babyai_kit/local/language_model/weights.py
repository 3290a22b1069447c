"""Weights on disk: those of the pretrained model, and those of models made from it.

A fine-tuned model is stored as the tensors that differ from its base, in safetensors: plain data, in which
nothing is executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized

from babyai_kit.atomic_files import write_atomically
from babyai_kit.errors import ConfigError
from babyai_kit.local.language_model.base_file import REINSTALL, base_file
from babyai_kit.local.language_model.gguf_file import GgufFile, TokenizerParts
from babyai_kit.local.language_model.shape import TIED_HEAD, LlamaShape

__all__ = ["WEIGHTS_FILE", "GgufFile", "LlamaShape", "TokenizerParts", "Weights", "load", "open_base", "save"]

WEIGHTS_FILE = "model.safetensors"
_FORMAT = "babyai-kit llama 1"


@dataclass(frozen=True)
class Weights:
    """Tensors of a Llama, all or those that differ from the base's."""

    shape: LlamaShape
    tensors: Mapping[str, torch.Tensor]
    """By Hugging Face's names."""
    base: str = ""
    """The digest of the GGUF file with the other tensors; empty: there are no others."""

    def without_unchanged(self, base: GgufFile, tensors: Mapping[str, torch.Tensor]) -> Weights:
        """Only what differs from `tensors`, those of `base`, as the same number format writes them."""
        changed = {
            name: tensor
            for name, tensor in self.tensors.items()
            if name not in tensors or not torch.equal(tensor.cpu(), tensors[name].to("cpu", tensor.dtype))
        }
        return replace(self, tensors=changed, base=base.digest)

    def complete(self, base: GgufFile, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """All tensors: these, and those of `base`, whose `tensors` are, for the others.

        Raises ConfigError if these were made from another base, or if they are not all that there is.
        """
        if self.base and self.base != base.digest:
            raise ConfigError(
                f"these weights were fine-tuned from another base ({self.base[:12]}) than the installed "
                f"{base.path.name} ({base.digest[:12]}); fine-tune again, or run: {REINSTALL}"
            )
        every = {**tensors, **self.tensors} if self.base else dict(self.tensors)
        if {name: tuple(tensor.shape) for name, tensor in every.items()} != dict(self.shape.tensors()):
            raise ConfigError("these weights are not those of a Llama of their shape; fine-tune again")
        return every


def open_base() -> GgufFile:
    """The pretrained model, SmolLM2-135M-Instruct. Raises ConfigError if it is not installed."""
    return GgufFile(base_file())


def save(weights: Weights, folder: Path) -> Path:
    """Write the weights into `folder`, which is created; returns the file.

    The number formats stay as they are; the tied output layer is left out. Raises FileWriteError.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in weights.tensors.items()
        if name != TIED_HEAD
    }
    metadata = {"format": _FORMAT, "shape": json.dumps(asdict(weights.shape)), "base": weights.base}
    return write_atomically(folder / WEIGHTS_FILE, serialized(tensors, metadata))


def load(folder: Path) -> Weights:
    """The weights saved in `folder`. Raises ConfigError if there are none that can be read."""
    path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("format") != _FORMAT:
            raise ValueError("of another format")
        return Weights(LlamaShape(**json.loads(metadata["shape"])), tensors, metadata["base"])
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot read {path} ({reason}); fine-tune the model again") from None
