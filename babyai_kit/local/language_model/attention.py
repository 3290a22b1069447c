"""Attention of some tokens to others, for heads of queries that share heads of keys and values.

Written out, since PyTorch's own function takes two to three times as long on a CPU in half precision.
"""

from __future__ import annotations

import torch
from torch import Tensor


def attention(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """What each query attends to, of shape (heads, queries, width).

    `queries`: (heads, queries, width); `keys` and `values`: (groups, keys, width), where `groups` divides
    `heads`. `bias`: see `bias_of`; None: each query sees each key.
    """
    heads, count, width = queries.shape
    groups = len(keys)
    of_groups, transposed = queries.reshape(groups, -1, width), keys.transpose(1, 2)
    if bias is None:
        scores = of_groups @ transposed * width**-0.5
    else:
        scores = torch.baddbmm(bias.expand(groups, -1, -1), of_groups, transposed, alpha=width**-0.5)
    return (scores.softmax(-1) @ values).view(heads, count, width)


def bias_of(mask: Tensor, queries_per_key: int, like: Tensor) -> Tensor:
    """What is added to scores, so that queries see only what `mask` says: boolean, (queries, keys).

    `queries_per_key`: heads of queries that share a head of keys. `like`: a tensor of the wanted format.
    """
    bias = torch.zeros(mask.shape, dtype=like.dtype, device=like.device)
    return bias.masked_fill(~mask.to(like.device), -torch.inf).repeat(queries_per_key, 1)[None]


def causal_mask(count: int, before: int) -> Tensor:
    """For `count` tokens that follow `before` others: each sees those, itself and what stands before it."""
    return torch.ones(count, before + count, dtype=torch.bool).tril(before)
