"""The base model: a mediocre player, made on first use and kept.

Knows demonstrations, training and where the model is kept. The demonstrations are poor on purpose: four of
five actions are random ones, so that the model knows the language of the game and what mostly pays, and has
nearly everything still to learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from filelock import FileLock

from babyai_kit.local.learner.demonstrations import BASE_SEEDS, demonstrate
from babyai_kit.local.learner.model import Shape, Transformer
from babyai_kit.local.learner.tokenizer import VOCABULARY
from babyai_kit.local.learner.training import Progress, Recipe, train
from babyai_kit.local.learner.weights import FILE, device, load, save
from babyai_kit.local.learner.windows import Windows


@dataclass(frozen=True)
class BaseRecipe:
    """All that a base model follows from (on one machine: sums differ in their last digits on others)."""

    seed: int = 0
    """Of weights and order; the demonstrations are the same for all."""
    episodes: int = 20
    """Per task, on seeds from BASE_SEEDS up."""
    noise: float = 0.8
    """Probability that an action is a random one."""
    shape: Shape = field(default_factory=lambda: Shape(vocabulary=len(VOCABULARY)))
    training: Recipe = field(default_factory=lambda: Recipe(epochs=5, learning_rate=1.5e-3))

    @property
    def digest(self) -> str:
        content = json.dumps([asdict(self), VOCABULARY], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def build(recipe: BaseRecipe, told: Callable[[Progress], None] = lambda progress: None) -> Transformer:
    """Train the base model now. `told` hears of every step."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = Transformer(recipe.shape)
    model.to(device())
    windows = Windows(list(demonstrate(range(BASE_SEEDS, BASE_SEEDS + recipe.episodes), recipe.noise)))
    for progress in train(model, windows, recipe.training.with_seed(recipe.seed)):
        told(progress)
    return model.eval()


def base_model(
    folder: Path, recipe: BaseRecipe | None = None, told: Callable[[Progress], None] = lambda progress: None
) -> Transformer:
    """The base model kept under `folder`, built first if it is not there; only one process builds."""
    recipe = recipe or BaseRecipe()
    home = folder / f"base-{recipe.digest}"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        if not (home / FILE).exists():
            save(build(recipe, told), home)
        return load(home)
