"""Training: next-token cross-entropy on the answers, AdamW, a warm-up and a cosine down to a tenth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.windows import IGNORE, Batch, Windows


@dataclass(frozen=True)
class Recipe:
    """How to train. `rows`: windows per step. `seed` determines order and symmetries."""

    epochs: float
    learning_rate: float = 1e-3
    rows: int = 32
    seed: int = 0
    weight_decay: float = 0.1


@dataclass(frozen=True)
class Progress:
    """After step `step` of `steps`: mean cross-entropy in nats and accuracy over the tokens learnt in it."""

    step: int
    steps: int
    loss: float
    accuracy: float


def train(model: Transformer, windows: Windows, recipe: Recipe) -> Iterator[Progress]:
    """Train in place, a step for each item of the iterator; the last item has step == steps."""
    rng = np.random.default_rng(recipe.seed)
    steps_per_epoch = sum(1 for _ in windows.epoch(np.random.default_rng(recipe.seed), recipe.rows))
    steps = max(1, round(steps_per_epoch * recipe.epochs))
    optimizer = torch.optim.AdamW(
        _groups(model, recipe.weight_decay), lr=recipe.learning_rate, betas=(0.9, 0.98)
    )
    model.train()
    step = 0
    while step < steps:
        for batch in windows.epoch(rng, recipe.rows):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * schedule(step, steps)
            loss, accuracy = _loss_and_accuracy(model, batch)
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
    """Mean cross-entropy in nats and accuracy over all tokens to be learnt in `windows`; NaN if none."""
    sums = np.zeros(3)
    for batch in windows.epoch(np.random.default_rng(0), rows):
        count = int((batch.labels != IGNORE).sum())
        loss, accuracy = _loss_and_accuracy(model, batch)
        sums += count * np.array([loss.item(), accuracy.item(), 1.0])
    return (sums[0] / sums[2], sums[1] / sums[2]) if sums[2] else (math.nan, math.nan)


def _loss_and_accuracy(model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
    device = model.tokens.weight.device
    labels = torch.from_numpy(batch.labels).to(device)
    learn = labels != IGNORE
    logits = model.logits(model.hidden(torch.from_numpy(batch.tokens).to(device))[learn])
    target = labels[learn]
    return functional.cross_entropy(logits, target), (logits.argmax(-1) == target).float().mean()


def _groups(model: Transformer, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay applies to matrices, and not to vectors (biases, norms)."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first tenth (at most 50 steps), then a cosine down to 0.1."""
    warmup = max(1, min(50, steps // 10))
    if step < warmup:
        return (step + 1) / warmup
    return 0.55 + 0.45 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))
