"""Reads what a player may know out of the chat messages: mission, present view, past steps.

Knows the observation text of BabyAI-Text and the few markers of the prompts ("Mission:", "Current
observation:", "Observation:", "Action:"). Knows nothing of variants, the grid, the server or of what to
do next. Lenient: a line it does not understand is skipped, a prompt without markers gives an empty view.

Places are (right, forward) in steps from the agent; left and behind are negative.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

VIEW_AHEAD, VIEW_ASIDE = 6, 3  # what one observation can show, in steps
# Bounds for prompts that are not the kit's: far beyond any real observation (characters) and memory.
_MAX_TEXT, _MAX_STEPS = 10_000, 256

_WHERE = r"(?:(\d+) steps? (left|right))?(?: and )?(?:(\d+) steps? forward)?"
_THING = re.compile(rf"an? (?:(open|closed|locked) )?([a-z]+) ([a-z]+) {_WHERE}")
_WALL = re.compile(r"a wall (\d+) steps? (forward|left|right)")
_CARRY = re.compile(r"you carry an? ([a-z]+) ([a-z]+)")
_MISSION = re.compile(r"^[ \t]*Mission:(.*)$", re.MULTILINE)
_NOUN = r"(?:the|an?) (?:(\w+) )?(key|ball|box|door|object)\b"
_PART = re.compile(rf"(go to|pick up|open|put) {_NOUN}(?:.*? next to {_NOUN})?")


@dataclass(frozen=True)
class Noun:
    """What a mission names. `colour` None: any; `kind` "object": any."""

    colour: str | None
    kind: str

    def fits(self, colour: str, kind: str) -> bool:
        return self.colour in (None, colour) and self.kind in ("object", kind)

    def __str__(self) -> str:
        return f"{self.colour} {self.kind}" if self.colour else self.kind


@dataclass(frozen=True)
class Part:
    """One part of a mission: verb "go to", "pick up", "open" or "put" (then `beside` is set)."""

    verb: str
    noun: Noun
    beside: Noun | None = None


@dataclass(frozen=True)
class Thing:
    """An object or door seen `right` and `forward` steps away; `state` is "" for what is no door."""

    colour: str
    kind: str
    right: int
    forward: int
    state: str = ""

    @property
    def place(self) -> tuple[int, int]:
        return self.right, self.forward


@dataclass(frozen=True)
class View:
    """One observation: things, distance to the walls in steps (0: not mentioned), what is carried."""

    things: tuple[Thing, ...] = ()
    wall_forward: int = 0
    carried: tuple[str, str] | None = None

    @property
    def blocked(self) -> bool:
        """Whether the cell in front cannot be entered (or hold a dropped object)."""
        in_front = any(t.place == (0, 1) and t.state != "open" for t in self.things)
        return in_front or self.wall_forward == 1


@dataclass(frozen=True)
class Prompt:
    """What the messages tell. `remembered`: things of earlier steps that are out of view by now."""

    mission: tuple[Part, ...]
    view: View
    remembered: tuple[Thing, ...] = ()
    last_action: str | None = None
    wants_thinking: bool = False


@lru_cache(maxsize=4096)
def parse_view(text: str) -> View:
    """Parse one observation (several lines). Unknown lines are skipped."""
    things, wall_forward, carried = [], 0, None
    for line in text.lower().splitlines():
        line = line.strip().removeprefix("you see ")
        if wall := _WALL.fullmatch(line):
            if wall[2] == "forward":
                wall_forward = _number(wall[1])
        elif carry := _CARRY.fullmatch(line):
            carried = (carry[1], carry[2])
        elif thing := _THING.fullmatch(line):
            state, colour, kind, aside, side, ahead = thing.groups()
            right = _number(aside) * (-1 if side == "left" else 1)
            things.append(Thing(colour, kind, right, _number(ahead), state or ""))
    return View(tuple(things), wall_forward, carried)


def _number(digits: str | None) -> int:
    # Distances have one digit; a hostile prompt's thousand digits must not cost time.
    return int(digits[:3]) if digits else 0


@lru_cache(maxsize=1024)
def parse_mission(text: str) -> tuple[Part, ...]:
    """Parts of a mission in the order they are to be done; () where nothing is understood."""
    first, after, second = text.lower()[:1000].partition(" after you ")
    ordered = f"{second}, then {first}" if after else first
    return tuple(
        Part(verb, Noun(colour or None, kind), Noun(colour2 or None, kind2) if kind2 else None)
        for verb, colour, kind, colour2, kind2 in _PART.findall(ordered)
    )


def remember(steps: Sequence[tuple[View, str]]) -> tuple[Thing, ...]:
    """Things seen in `steps` (view and the action executed then; oldest first), out of view by now.

    Dead reckoning: each action turns or shifts what is remembered; what the view should show and does
    not is forgotten.
    """
    known: tuple[Thing, ...] = ()
    for view, action in steps:
        moved = (_shifted(thing, action, view.blocked) for thing in (*known, *view.things))
        known = tuple(thing for thing in moved if not _in_view(thing))
    return known


def _shifted(thing: Thing, action: str, blocked: bool) -> Thing:
    right, forward = thing.place
    if action == "turn left":
        right, forward = forward, -right
    elif action == "turn right":
        right, forward = -forward, right
    elif action == "go forward" and not blocked:
        forward -= 1
    return Thing(thing.colour, thing.kind, right, forward, thing.state)


def _in_view(thing: Thing) -> bool:
    return 0 <= thing.forward <= VIEW_AHEAD and abs(thing.right) <= VIEW_ASIDE


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
        mission=parse_mission(mission[1]) if mission else (),
        view=parse_view(present[:_MAX_TEXT]),
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
            steps.append((parse_view(text[:_MAX_TEXT]), action))
    return steps
