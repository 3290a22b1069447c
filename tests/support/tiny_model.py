"""A base model that is built in seconds."""

from __future__ import annotations

import torch

from babyai_kit.local.learner.base_model import BaseRecipe
from babyai_kit.local.learner.model import Shape
from babyai_kit.local.learner.tokenizer import VOCABULARY
from babyai_kit.local.learner.training import Recipe

torch.set_num_threads(1)  # more would wait for each other on busy cores, and the tests would take minutes

TINY = BaseRecipe(
    episodes=12,
    noise=0.7,
    shape=Shape(vocabulary=len(VOCABULARY), layers=2, heads=2, width=64),
    training=Recipe(epochs=6, learning_rate=3e-3, rows=16),
)
