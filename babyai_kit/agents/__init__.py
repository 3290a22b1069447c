"""Agents: what one is, those that ship, and how to find yours. See docs/agents.md.

`interface` is all that an agent needs; `registry` finds agents by name; `template_agent` is the one behind
the variants of `config/`, and `rendering` renders their templates. `text_agent` and `action_text` are what
the agents of plain text share. `rehearsal` gives an agent its recorded answers again.
"""

from babyai_kit.agents.action_text import bare_action, marked_action
from babyai_kit.agents.interface import (
    Agent,
    Ask,
    Ending,
    Episode,
    Message,
    Move,
    Observation,
    Past,
    Reply,
    Turn,
)
from babyai_kit.agents.registry import AgentSpec, agent, find_agent
from babyai_kit.agents.text_agent import RULES

__all__ = [
    "RULES",
    "Agent",
    "AgentSpec",
    "Ask",
    "Ending",
    "Episode",
    "Message",
    "Move",
    "Observation",
    "Past",
    "Reply",
    "Turn",
    "agent",
    "bare_action",
    "find_agent",
    "marked_action",
]
