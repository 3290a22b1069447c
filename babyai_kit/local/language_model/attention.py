"""Attention of some tokens to others, for heads of queries that share heads of keys and values."""

from __future__ import annotations

import torch
from torch import Tensor


def attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """What each query attends to, of shape (heads, queries, width).

    `queries`: (heads, queries, width); `keys` and `values`: (groups, keys, width), where `groups` divides
    `heads`. `mask`: boolean, (queries, keys), True where a query sees a key; None: everywhere.
    Written out, since PyTorch's own function takes several times as long on a CPU in half precision.
    """
    heads, count, width = queries.shape
    groups = len(keys)
    scores = queries.reshape(groups, -1, width) @ keys.transpose(1, 2) * width**-0.5
    if mask is not None:
        scores = scores.view(groups, -1, *mask.shape).masked_fill(~mask, -torch.inf).view(scores.shape)
    return (scores.softmax(-1) @ values).view(heads, count, width)


def causal_mask(count: int, before: int, device: torch.device | str = "cpu") -> Tensor | None:
    """For `count` tokens that follow `before` others: each sees those, itself and what stands before it."""
    if count == 1:
        return None
    return torch.ones(count, before + count, dtype=torch.bool, device=device).tril(before)
