"""Agents: what one is, those that ship, and how to find yours. See docs/agents.md.

`interface` is all that an agent needs; `registry` finds agents by name; `template_agent` is the one behind
the variants of `config/`.
"""

from babyai_kit.agents.interface import Agent, Ask, Episode, Message, Move, Observation, Past, Reply
from babyai_kit.agents.registry import AgentSpec, agent, find_agent

__all__ = [
    "Agent",
    "AgentSpec",
    "Ask",
    "Episode",
    "Message",
    "Move",
    "Observation",
    "Past",
    "Reply",
    "agent",
    "find_agent",
]
