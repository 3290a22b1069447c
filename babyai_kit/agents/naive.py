"""Answers with the bare action, and nothing else."""

from __future__ import annotations

from babyai_kit.agents.registry import agent
from babyai_kit.agents.text_agent import TextAgent


@agent("naive", uses_history=True)
class Naive(TextAgent):
    """Remembers its last steps; one call a step."""

    form = "Answer with the one action that you take now, in the words above, and nothing else."
