"""Answers with the action between marks, so that whatever the model says around it does no harm."""

from __future__ import annotations

from babyai_kit.agents.action_text import marked_action
from babyai_kit.agents.interface import Move
from babyai_kit.agents.registry import agent
from babyai_kit.agents.text_agent import TextAgent


@agent("robust_naive", uses_history=True)
class RobustNaive(TextAgent):
    """Remembers its last steps; one call a step."""

    form = (
        "Answer with the one action that you take now, between these marks, and nothing else:\n"
        "<action>one of the six actions</action>"
    )

    def read(self, answer: str) -> Move:
        return Move(marked_action(answer))
