"""Chat messages as the kit's prompts form them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

RULES = 'You are an agent in a grid world. Answer with JSON: {"action": "one of the six actions"}'
THINKING_RULES = 'Think first. Answer with JSON: {"thinking": "why", "action": "one of the six actions"}'


def user_text(mission: str, observation: str, history: Sequence[tuple[str, str]] = ()) -> str:
    past = "".join(f"\nObservation:\n{view}\nAction: {action}\n" for view, action in history)
    past = f"\nHistory (oldest first):\n{past}" if past else ""
    return f"Mission: {mission}\n{past}\nCurrent observation:\n{observation}"


def messages(
    mission: str, observation: str, history: Sequence[tuple[str, str]] = (), rules: str = RULES
) -> tuple[tuple[str, str], ...]:
    return ("system", rules), ("user", user_text(mission, observation, history))


def body(
    mission: str = "go to the red ball",
    observation: str = "a wall 4 steps forward\na red ball 1 step left and 2 steps forward",
    history: Sequence[tuple[str, str]] = (),
    rules: str = RULES,
    **fields: Any,
) -> dict[str, Any]:
    """A request body; `fields` are added to it."""
    pairs = messages(mission, observation, history, rules)
    chat = [{"role": role, "content": text} for role, text in pairs]
    return {"model": "offline-player", "messages": chat, **fields}


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until `condition` holds; raises AssertionError if it does not within `seconds`."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the condition did not hold within {seconds} s")
