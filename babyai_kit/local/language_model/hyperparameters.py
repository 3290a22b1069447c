"""The hyperparameters of a job that trains the language model: OpenAI's, and some of its own.

Import inside functions only, as the server's (see `player.validation`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from babyai_kit.local.player import hyperparameters


class Hyperparameters(hyperparameters.Hyperparameters):
    """`batch_size` counts examples in an update; without it 18, or fewer where examples are few."""

    frozen_layers: Annotated[int, Field(ge=0, le=29)] = 15
    """How many of the 30 layers, from the lowest up, stay as they are."""
    lora_rank: Annotated[int, Field(ge=1, le=256)] | Literal["none"] = "none"
    """Train low-rank updates (LoRA) of this rank instead of all weights of the other layers."""
