"""Low-rank updates of linear layers (LoRA; Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from babyai_kit.local.language_model.llama import Llama

SCALE = 2.0
"""The usual alpha of twice the rank."""


class LowRank(nn.Module):
    """A linear layer that stays as it is, and a trained update of a rank, which starts at nothing."""

    def __init__(self, layer: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        into, out = layer.in_features, layer.out_features
        down = torch.randn(rank, into, generator=generator) * into**-0.5
        self.down = nn.Parameter(down.to(layer.weight))
        self.up = nn.Parameter(torch.zeros(out, rank).to(layer.weight))

    def forward(self, vectors: Tensor) -> Tensor:
        return self.layer(vectors) + SCALE * linear(linear(vectors, self.down), self.up)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """The weight that does the work of both."""
        weight = self.layer.weight
        return (weight.float() + SCALE * (self.up.float() @ self.down.float())).to(weight.dtype)


def add_low_rank(model: Llama, rank: int, frozen_layers: int, seed: int) -> list[nn.Parameter]:
    """Put updates beside every linear layer above the frozen layers; returns what is to be trained."""
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    added = []
    for part in _parts(model, frozen_layers):
        for name, layer in list(part.named_children()):
            if isinstance(layer, nn.Linear):
                update = LowRank(layer, rank, generator)
                setattr(part, name, update)
                added += [update.down, update.up]
    return added


def merge_low_rank(model: Llama) -> None:
    """Make the updates part of the layers."""
    for part in _parts(model, 0):
        for name, layer in list(part.named_children()):
            if isinstance(layer, LowRank):
                with torch.no_grad():
                    layer.layer.weight.copy_(layer.merged())
                setattr(part, name, layer.layer)


def merged_tensors(model: Llama) -> dict[str, Tensor]:
    """The weights, by name, of `model` with its updates as part of the layers; the model stays as it is."""
    tensors = model.state_dict()
    for name, layer in model.named_modules():
        if isinstance(layer, LowRank):
            for own in layer.state_dict():
                del tensors[f"{name}.{own}"]
            tensors[f"{name}.weight"] = layer.merged()
    return tensors


def _parts(model: Llama, frozen_layers: int) -> list[nn.Module]:
    layers = model.model["layers"][frozen_layers:]
    return [part for layer in layers for part in (layer.self_attn, layer.mlp)]
