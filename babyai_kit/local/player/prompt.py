"""Reads what a player may know out of the chat messages: mission, present view, past steps.

Understands the few markers of the prompts ("Mission:", "Current observation:", "Observation:", "Action:")
and reads the text between them with `environment.reading`. Lenient: a prompt without markers gives an empty
view.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from babyai_kit.environment.reading import Part, SeenObject, View, read_mission, read_observation
from babyai_kit.environment.text import VIEW_AHEAD, VIEW_ASIDE

# Bounds for prompts that are not the kit's: far beyond any real observation (characters) and memory.
_MAX_TEXT, _MAX_STEPS = 10_000, 256

_MISSION = re.compile(r"^[ \t]*Mission:(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """What the messages say. `remembered`: objects seen in earlier steps that are out of view by now."""

    mission: tuple[Part, ...]
    view: View
    remembered: tuple[SeenObject, ...] = ()
    last_action: str | None = None
    wants_thinking: bool = False


def remember(steps: Sequence[tuple[View, str]]) -> tuple[SeenObject, ...]:
    """Objects seen in `steps` (view and the action executed then; oldest first), out of view by now.

    Dead reckoning: each action turns or shifts what is remembered; what the view should show and does
    not is forgotten.
    """
    known: tuple[SeenObject, ...] = ()
    for view, action in steps:
        moved = (_shifted(obj, action, view.blocked) for obj in (*known, *view.objects))
        known = tuple(obj for obj in moved if not _in_view(obj))
    return known


def _shifted(obj: SeenObject, action: str, blocked: bool) -> SeenObject:
    right, forward = obj.place
    if action == "turn left":
        right, forward = forward, -right
    elif action == "turn right":
        right, forward = -forward, right
    elif action == "go forward" and not blocked:
        forward -= 1
    return SeenObject(obj.colour, obj.kind, right, forward, obj.state)


def _in_view(obj: SeenObject) -> bool:
    return 0 <= obj.forward <= VIEW_AHEAD and abs(obj.right) <= VIEW_ASIDE


def parse_prompt(messages: Sequence[tuple[str, str]]) -> Prompt:
    """Read the (role, text) messages of one request. Never raises.

    The view is the text after the last "Current observation:"; steps are the pairs of "Observation:"
    and "Action:" lines before it. Thinking is wanted where the instructions show a "thinking" field.
    """
    rules = "\n".join(text for role, text in messages if role in ("system", "developer"))
    user = "\n".join(text for role, text in messages if role == "user")
    past, _, present = user.rpartition("Current observation:")
    mission = _MISSION.search(user)
    steps = _parse_steps(past)
    return Prompt(
        mission=read_mission(mission[1]).parts if mission else (),
        view=read_observation(present[:_MAX_TEXT]),
        remembered=remember(steps),
        last_action=steps[-1][1] if steps else None,
        wants_thinking='"thinking"' in (rules or user),
    )


def _parse_steps(past: str) -> list[tuple[View, str]]:
    steps: list[tuple[View, str]] = []
    for block in past.split("Observation:\n")[1:][-_MAX_STEPS:]:
        text, _, rest = block.partition("Action:")
        action = rest.partition("\n")[0].strip().lower()
        if action:
            steps.append((read_observation(text[:_MAX_TEXT]), action))
    return steps
