"""Vectors for texts: the mean of a model's last hidden states, of length 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from babyai_kit.local.language_model.attention import attention, bias_of, causal_mask
from babyai_kit.local.language_model.llama import Llama


@torch.inference_mode()
def embed(model: Llama, tokens: Sequence[int]) -> list[float]:
    """The vector, of the model's width, of a text of one token or more."""
    device = model.embedding.device
    bias = bias_of(causal_mask(len(tokens), 0), model.shape.queries_per_key, model.embedding)

    def attend(_: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return attention(queries, keys, values, bias)

    hidden = model(torch.tensor(tokens, device=device), torch.arange(len(tokens), device=device), attend)
    mean = hidden.float().mean(0)
    return (mean / mean.norm()).tolist()
