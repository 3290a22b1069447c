"""A model as the chat endpoint serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.completion import ModelAnswer

Player = Callable[[ChatRequest], "str | ModelAnswer | Awaitable[str | ModelAnswer]"]
"""From a request to the answer's text."""


@dataclass(frozen=True)
class ServedModel:
    """Who answers under a model's name, and how the API describes it."""

    player: Player
    owner: str
    """`owned_by` of the model's card."""
    fingerprint: str
    """`system_fingerprint` of its answers."""
