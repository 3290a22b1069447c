"""Training: next-token cross-entropy on the answers, AdamW, a warm-up and a cosine down to a tenth.

Knows windows and a model; nothing of files, jobs or where the windows came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from babyai_kit.learner.data import IGNORE, Windows
from babyai_kit.learner.model import Transformer


@dataclass(frozen=True)
class Recipe:
    """How to train. `rows`: windows a step; `epochs` may be a fraction; `seed` settles everything random."""

    epochs: float
    learning_rate: float = 1e-3
    rows: int = 64
    seed: int = 0
    weight_decay: float = 0.1
    symmetries: bool = True


@dataclass(frozen=True)
class Progress:
    """After a step: mean cross-entropy in nats and accuracy over the batch's learnt tokens."""

    step: int
    of: int
    loss: float
    accuracy: float


def train(model: Transformer, windows: Windows, recipe: Recipe) -> Iterator[Progress]:
    """Train in place, a step whenever the next item is asked for; the last item has step == of."""
    rng = np.random.default_rng(recipe.seed)
    device = model.tokens.weight.device
    a_pass = sum(1 for _ in windows.epoch(np.random.default_rng(recipe.seed), recipe.rows))
    steps = max(1, round(a_pass * recipe.epochs))
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
    step = 0
    while step < steps:
        for batch in windows.epoch(rng, recipe.rows):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * schedule(step, steps)
            labels = torch.from_numpy(batch.labels).to(device)
            learnt = labels != IGNORE
            with torch.autocast(device.type, torch.bfloat16):
                hidden = model.hidden(torch.from_numpy(batch.tokens).to(device))
                logits = model.logits(hidden[learnt]).float()
            target = labels[learnt]
            loss = functional.cross_entropy(logits, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            accuracy = (logits.argmax(-1) == target).float().mean()
            yield Progress(step, steps, loss.item(), accuracy.item())
            if step == steps:
                return


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first tenth (at most 50 steps), then a cosine down to 0.1."""
    warm = max(1, min(50, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.55 + 0.45 * math.cos(math.pi * (step - warm) / max(1, steps - warm))
