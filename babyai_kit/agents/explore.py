"""Collects experience: takes some of its actions by chance, and asks a variant of `config/` for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from babyai_kit.agents.interface import Episode, Move, Observation
from babyai_kit.agents.registry import agent
from babyai_kit.agents.template_agent import TemplateAgent
from babyai_kit.environment import ACTIONS
from babyai_kit.errors import InputError


def asked_variants(*, share: float = 0.2, variant: str = "baseline") -> Mapping[str, float]:
    """The variant with its calls a step, if it is asked at all."""
    return {variant: 1 - share} if share < 1 else {}


@agent("explore", asks=asked_variants)
class Explore:
    """Takes a `share` (0 to 1) of its actions by chance, each of the six as likely as any other, and does not
    ask the model then; else it asks `variant` as that variant is asked: with the actions that were executed,
    whoever chose them."""

    def __init__(self, episode: Episode, *, share: float = 0.2, variant: str = "baseline") -> None:
        ask = partial(episode.ask, variant=variant)
        self._agent = TemplateAgent(replace(episode, ask=ask), dialogue=variant in episode.dialogues)
        self._random, self._share = episode.random, share

    @staticmethod
    def prepare(*, share: float = 0.2, variant: str = "baseline") -> Mapping[str, Any]:
        """Raises InputError for a share that is none."""
        if not isinstance(share, float) or not 0 <= share <= 1:
            raise InputError(f"share {share!r} of agent explore is not in range; use 0 to 1")
        return {}

    async def act(self, observation: Observation) -> Move:
        self._agent.remember(observation)
        if self._random.random() < self._share:
            return Move(self._random.choice(ACTIONS))
        return await self._agent.answer(observation)
