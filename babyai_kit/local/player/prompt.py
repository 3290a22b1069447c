"""Reads what a player may know out of the chat messages: mission, present view, past steps.

The prompts are known by a few markers ("Mission:", "Current observation:", "Observation:", "Action:"); the
text between them is read by `environment.reading`. Earlier steps may also be messages of their own, each with
the answer to it. Lenient: a prompt without markers is one observation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from babyai_kit.environment.reading import Part, SeenObject, View, read_mission, read_observation
from babyai_kit.environment.tasks import ACTIONS
from babyai_kit.environment.text import VIEW_AHEAD, VIEW_ASIDE
from babyai_kit.hostile_text import parse_json

# Bounds for prompts that are not the kit's: far beyond any real observation (characters) and memory.
_MAX_TEXT, _MAX_STEPS = 10_000, 256

_MISSION = re.compile(r"^[ \t]*Mission:(.*)$", re.MULTILINE)
_NOTE = re.compile(r"\s*Note:.*\n*")


class PastStep(NamedTuple):
    """A step of a prompt's history."""

    observation: str
    action: str
    """The action executed, also after an invalid answer."""
    valid: bool
    """False where a note says that the answer was invalid."""


class Sections(NamedTuple):
    """What the user's messages say, as text; empty where it is missing."""

    mission: str
    history: tuple[PastStep, ...]
    observation: str


def read_sections(messages: Sequence[tuple[str, str]]) -> Sections:
    """Split the (role, text) messages of one request at their markers. Never raises.

    The observation is what follows the last "Current observation:" of the last message, or all of it where
    that is missing. The history are the pairs of "Observation:" and "Action:" before it, and the earlier
    messages and answers that belong to the same mission.
    """
    mission, turns = _episode(messages)
    history: list[PastStep] = []
    for (text, action), (following, _) in pairwise(turns):
        earlier, observation = _message(text)
        history += [*earlier, PastStep(observation, action, not _NOTE.match(following))]
    earlier, observation = _message(turns[-1][0])
    return Sections(mission, tuple([*history, *earlier][-_MAX_STEPS:]), observation)


def _episode(messages: Sequence[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
    """The mission, and the user's texts with the action answered to each, from the first that belongs to it.

    Texts without an action between them are one, and so are all if no mission says where an episode begins.
    """
    turns: list[tuple[str, str]] = []
    texts: list[str] = []
    for role, text in messages:
        if role == "user":
            texts.append(text)
        elif role == "assistant" and texts and (action := _action(text)):
            turns.append(("\n".join(texts), action))
            texts = []
    if texts or not turns:
        turns.append(("\n".join(texts), ""))
    missions = [found[1].strip() if (found := _MISSION.search(text)) else "" for text, _ in turns]
    mission = next(filter(None, reversed(missions)), "")
    if not mission:
        return "", [(_text(messages, "user"), "")]
    others = [number for number, named in enumerate(missions) if named not in ("", mission)]
    return mission, turns[others[-1] + 1 if others else 0 :]


def _action(answer: str) -> str:
    """The action of an answer in JSON or in bare words; empty for any other."""
    if answer.strip().lower() in ACTIONS:
        return answer.strip()
    try:
        fields = parse_json(answer[:_MAX_TEXT])
    except ValueError:
        return ""
    action = fields.get("action") if isinstance(fields, dict) else None
    return action.strip() if isinstance(action, str) else ""


def _message(text: str) -> tuple[list[PastStep], str]:
    """The steps that one message shows, and its observation."""
    noted = _NOTE.match(text)
    past, _, present = text[noted.end() if noted else 0 :].rpartition("Current observation:")
    history = []
    for block in past.split("Observation:\n")[1:][-_MAX_STEPS:]:
        observation, _, rest = block.partition("Action:")
        action, _, note = rest.partition("\n")
        if action.strip():
            observation = observation[:_MAX_TEXT].strip("\n")
            history.append(PastStep(observation, action.strip(), not note.startswith("Note:")))
    return history, present[:_MAX_TEXT].strip("\n")


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

    Thinking is wanted where the instructions show a "thinking" field.
    """
    sections = read_sections(messages)
    steps = [(read_observation(step.observation), step.action.lower()) for step in sections.history]
    return Prompt(
        mission=read_mission(sections.mission).parts,
        view=read_observation(sections.observation),
        remembered=remember(steps),
        last_action=steps[-1][1] if steps else None,
        wants_thinking='"thinking"' in (_text(messages, "system", "developer") or _text(messages, "user")),
    )


def _text(messages: Sequence[tuple[str, str]], *roles: str) -> str:
    return "\n".join(text for role, text in messages if role in roles)
