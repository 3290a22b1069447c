"""Stands in for `balrog.agents.base`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from babyai_kit.agents.balrog_stand_ins.client import LLMClientWrapper, LLMResponse
from babyai_kit.agents.balrog_stand_ins.history import HistoryPromptBuilder


class BaseAgent:
    """What agents written for BALROG derive from."""

    def __init__(
        self, client_factory: Callable[[], LLMClientWrapper], prompt_builder: HistoryPromptBuilder
    ) -> None:
        self.client = client_factory()
        self.prompt_builder = prompt_builder

    def act(self, obs: dict[str, Any], prev_action: str | None = None) -> LLMResponse:
        """The answer to `obs`; its `completion` is the action. `prev_action`: the completion before."""
        raise NotImplementedError

    def update_prompt(self, observation: dict[str, Any], action: str) -> None:
        """Remember an observation and the action after it."""
        self.prompt_builder.update_observation(observation)
        self.prompt_builder.update_action(action)

    def reset(self) -> None:
        """An episode begins: forget the last one."""
        self.prompt_builder.reset()
