"""These tests need PyTorch (the extra `learner`); without it they are skipped, with the reason."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "torch", reason="PyTorch is not installed: make .venv/VERSION/.learner, or the extra 'learner'"
)

import torch

from babyai_kit.learner.base import BaseRecipe
from babyai_kit.learner.model import Shape
from babyai_kit.learner.tokenizer import VOCABULARY
from babyai_kit.learner.training import Recipe

TINY = BaseRecipe(
    episodes=12,
    shape=Shape(vocabulary=len(VOCABULARY), layers=2, heads=2, width=64),
    training=Recipe(epochs=4, learning_rate=3e-3, rows=16),
)
"""A base model that is made in seconds."""
