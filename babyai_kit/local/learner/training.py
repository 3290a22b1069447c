"""Training: next-token cross-entropy on the answers, AdamW, a warm-up and a cosine down to a tenth.

Knows windows and a model; nothing of files, jobs or where the windows came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.windows import IGNORE, Batch, Windows


@dataclass(frozen=True)
class Recipe:
    """How to train. `rows`: windows a step; `seed` settles order and symmetries."""

    epochs: float
    learning_rate: float = 1e-3
    rows: int = 32
    seed: int = 0
    weight_decay: float = 0.1

    def with_seed(self, seed: int) -> Recipe:
        return replace(self, seed=seed)


@dataclass(frozen=True)
class Progress:
    """After a step: mean cross-entropy in nats and accuracy over the tokens learnt in it."""

    step: int
    of: int
    loss: float
    accuracy: float


def train(model: Transformer, windows: Windows, recipe: Recipe) -> Iterator[Progress]:
    """Train in place, a step whenever the next item is asked for; the last item has step == of."""
    rng = np.random.default_rng(recipe.seed)
    in_epoch = sum(1 for _ in windows.epoch(np.random.default_rng(recipe.seed), recipe.rows))
    steps = max(1, round(in_epoch * recipe.epochs))
    optimizer = torch.optim.AdamW(
        _groups(model, recipe.weight_decay), lr=recipe.learning_rate, betas=(0.9, 0.98)
    )
    model.train()
    step = 0
    while step < steps:
        for batch in windows.epoch(rng, recipe.rows):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * schedule(step, steps)
            loss, accuracy = _measure(model, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            yield Progress(step, steps, loss.item(), accuracy.item())
            if step == steps:
                break
    model.eval()


@torch.no_grad()
def measure(model: Transformer, windows: Windows, rows: int = 64) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy over all tokens to be learnt of `windows`; NaN if none."""
    sums = np.zeros(3)
    for batch in windows.epoch(np.random.default_rng(0), rows):
        learnt = int((batch.labels != IGNORE).sum())
        loss, accuracy = _measure(model, batch)
        sums += learnt * np.array([loss.item(), accuracy.item(), 1.0])
    return (sums[0] / sums[2], sums[1] / sums[2]) if sums[2] else (math.nan, math.nan)


def _measure(model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
    device = model.tokens.weight.device
    labels = torch.from_numpy(batch.labels).to(device)
    learnt = labels != IGNORE
    logits = model.logits(model.hidden(torch.from_numpy(batch.tokens).to(device))[learnt])
    target = labels[learnt]
    return functional.cross_entropy(logits, target), (logits.argmax(-1) == target).float().mean()


def _groups(model: Transformer, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay, vectors (biases, norms) don't."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first tenth (at most 50 steps), then a cosine down to 0.1."""
    warm = max(1, min(50, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.55 + 0.45 * math.cos(math.pi * (step - warm) / max(1, steps - warm))
