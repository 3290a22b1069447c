"""Thinks in words before it acts; one of the two agents is shown again what it thought."""

from __future__ import annotations

from babyai_kit.agents.action_text import marked_action, thought_before
from babyai_kit.agents.interface import Move
from babyai_kit.agents.registry import agent
from babyai_kit.agents.text_agent import TextAgent

THINK_AND_ACT = (
    "First think, in a few sentences: where is what the mission is about, what stands in the way, and which "
    "action brings you closer? Then give the one action that you take now, between these marks:\n"
    "<action>one of the six actions</action>"
)


@agent("chain_of_thought", uses_history=True)
class ChainOfThought(TextAgent):
    """Remembers its last steps, but not its thoughts; one call a step."""

    form = THINK_AND_ACT

    def read(self, answer: str) -> Move:
        return Move(marked_action(answer), thinking=thought_before(answer) or None)


@agent("chain_of_thought_remembering", uses_history=True)
class ChainOfThoughtRemembering(ChainOfThought):
    """Remembers its last steps with its thoughts; one call a step."""

    shows_thoughts = True
