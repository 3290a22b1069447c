"""Which token comes next, by what a model says of each."""

from __future__ import annotations

import random

import torch
from torch import Tensor


def sample(logits: Tensor, *, temperature: float, top_p: float, rng: random.Random) -> int:
    """The index of the chosen one of `logits`, of shape (tokens,).

    Temperature 0 takes the likeliest, the first of several. `top_p`: choose among the likeliest, as few as
    have that probability in sum.
    """
    if temperature == 0 or top_p == 0:
        return int(logits.argmax())
    # From the likeliest one down, so that no temperature above 0 is too low.
    shares = ((logits.double() - logits.max()) / temperature).softmax(0)
    if top_p == 1:
        return _chosen(shares, rng)
    ranked, order = shares.sort(descending=True, stable=True)
    few = ranked[: int((ranked.cumsum(0) < top_p).sum()) + 1]
    return int(order[_chosen(few, rng)])


def _chosen(shares: Tensor, rng: random.Random) -> int:
    bounds = shares.cumsum(0)
    drawn = torch.tensor([rng.random() * float(bounds[-1])], dtype=bounds.dtype, device=bounds.device)
    return min(int(torch.searchsorted(bounds, drawn, right=True)), len(shares) - 1)
