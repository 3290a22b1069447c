"""Stands in for `balrog.client`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class LLMResponse(NamedTuple):
    """An answer, and what an agent made of it."""

    model_id: str
    completion: Any
    """A client's: the answer, stripped. An agent's: the action."""
    stop_reason: str | None
    input_tokens: int
    output_tokens: int
    reasoning: str | None


class LLMClientWrapper:
    """Asks the run's model. `generate` answers a list of messages, each with `role`, `content` and
    `attachment` (an image or None)."""

    def __init__(self, model_id: str, generate: Callable[[Sequence[Any]], LLMResponse]) -> None:
        self.model_id = model_id
        self.generate = generate
