"""The base model: a mediocre player, built on first use and kept.

Its demonstrations are poor on purpose: four of five actions are random ones, so that the model knows the
language of the game and what mostly pays, and has nearly everything still to learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from filelock import FileLock

from babyai_kit.local.learner.demonstrations import BASE_SEEDS, demonstrate
from babyai_kit.local.learner.model import Shape, Transformer
from babyai_kit.local.learner.tokenizer import VOCABULARY
from babyai_kit.local.learner.training import Progress, Recipe, train
from babyai_kit.local.learner.weights import WEIGHTS_FILE, device, load, save
from babyai_kit.local.learner.windows import Windows


@dataclass(frozen=True)
class BaseRecipe:
    """All that determines a base model (on one machine: sums differ in their last digits on others)."""

    seed: int = 0
    """Of weights and order; the demonstrations are the same for every seed."""
    episodes: int = 20
    """Per task, on seeds from BASE_SEEDS up."""
    noise: float = 0.8
    """Probability that an action is random."""
    shape: Shape = field(default_factory=lambda: Shape(vocabulary=len(VOCABULARY)))
    training: Recipe = field(default_factory=lambda: Recipe(epochs=5, learning_rate=1.5e-3))

    @property
    def digest(self) -> str:
        content = json.dumps([asdict(self), VOCABULARY], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def build_base_model(
    recipe: BaseRecipe, *, on_progress: Callable[[Progress], None] | None = None
) -> Transformer:
    """Train a base model now. `on_progress` is called after every step."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = Transformer(recipe.shape)
    model.to(device())
    windows = Windows(list(demonstrate(range(BASE_SEEDS, BASE_SEEDS + recipe.episodes), recipe.noise)))
    for progress in train(model, windows, replace(recipe.training, seed=recipe.seed)):
        if on_progress:
            on_progress(progress)
    return model.eval()


def load_base_model(
    folder: Path, recipe: BaseRecipe, *, on_progress: Callable[[Progress], None] | None = None
) -> Transformer:
    """The base model kept under `folder`, built first if it is not there; only one process builds it."""
    folder = folder / f"base-{recipe.digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not (folder / WEIGHTS_FILE).exists():
            save(build_base_model(recipe, on_progress=on_progress), folder)
        return load(folder)
