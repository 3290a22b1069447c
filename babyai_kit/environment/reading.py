"""The environment's text read back: an observation as a `View`, a mission as a `Mission`.

The inverse of what `text` and the missions write: `str()` of what was read is the text again. Readers are
lenient, since prompts come from anywhere: letter case and BALROG's "You see" make no difference, and what is
not understood is left out of a mission and listed as `unknown` in a view.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from babyai_kit.environment.text import carried_line, object_line, relative_position, wall_line

# Bounds for texts that are not the kit's, in characters: far beyond any line or mission of the environment.
_MAX_LINE, _MAX_MISSION = 100, 1000

_SEEN = "(?:you see )?"
_CARRIED = re.compile(r"you carry an? ([a-z]+) ([a-z]+)")
_WALL = re.compile(rf"{_SEEN}a wall (\d+) steps? (forward|left|right)")
_OBJECT = re.compile(
    rf"{_SEEN}an? (?:(open|closed|locked) )?([a-z]+) ([a-z]+) "
    r"(?:(\d+) steps? (left|right))?(?: and )?(?:(\d+) steps? forward)?"
)
_NOUN = (
    r"(the|an?) (?:(\w+) )?(key|ball|box|door|object)\b"
    r"(?: (in front of you|behind you|on your left|on your right))?"
)
_PART = re.compile(rf"(go to|pick up|open|put) {_NOUN}(?: next to {_NOUN})?")


class Carried(NamedTuple):
    """What the agent carries."""

    colour: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    def __str__(self) -> str:
        return carried_line(self.colour, self.kind)


@dataclass(frozen=True)
class SeenWall:
    """A wall straight "forward" of the agent or on its "left" or "right", `distance` steps away."""

    side: str
    distance: int

    def __str__(self) -> str:
        return wall_line(self.side, self.distance)


@dataclass(frozen=True)
class SeenObject:
    """An object or door, `right` and `forward` in steps from the agent; left and behind are negative.

    `state` is "open", "closed" or "locked" for a door and empty for anything else.
    """

    colour: str
    kind: str
    right: int
    forward: int
    state: str = ""

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    @property
    def place(self) -> tuple[int, int]:
        return self.right, self.forward

    def __str__(self) -> str:
        return object_line(self.state, self.colour, self.kind, relative_position(self.right, self.forward))


@dataclass(frozen=True)
class View:
    """One observation, its parts in the order of its lines."""

    carried: Carried | None = None
    walls: tuple[SeenWall, ...] = ()
    objects: tuple[SeenObject, ...] = ()
    unknown: tuple[str, ...] = ()
    """Lines that say nothing of these, in lower case; blank lines are not counted."""

    @cached_property
    def blocked(self) -> bool:
        """Whether the cell in front cannot be entered (or hold a dropped object)."""
        return any(wall.side == "forward" and wall.distance == 1 for wall in self.walls) or any(
            obj.place == (0, 1) and obj.state != "open" for obj in self.objects
        )

    def __str__(self) -> str:
        parts = (*self.walls, *self.objects, *self.unknown)
        return "\n".join(map(str, (self.carried, *parts) if self.carried else parts))


@lru_cache(maxsize=4096)
def read_observation(text: str) -> View:
    """Read the text of an observation. Never raises."""
    carried = None
    walls, objects, unknown = [], [], []
    for line in filter(None, map(str.strip, text.lower().splitlines())):
        part = _read_line(line) if len(line) <= _MAX_LINE else None
        if isinstance(part, SeenObject):
            objects.append(part)
        elif isinstance(part, SeenWall):
            walls.append(part)
        elif part is None:
            unknown.append(line)
        else:
            carried = part
    return View(carried, tuple(walls), tuple(objects), tuple(unknown))


@lru_cache(maxsize=4096)  # The environment has about 1,750 different lines.
def _read_line(line: str) -> Carried | SeenWall | SeenObject | None:
    if wall := _WALL.fullmatch(line):
        return SeenWall(wall[2], int(wall[1]))
    if load := _CARRIED.fullmatch(line):
        return Carried(load[1], load[2])
    if obj := _OBJECT.fullmatch(line):
        state, colour, kind, aside, side, ahead = obj.groups()
        right = int(aside or 0)
        return SeenObject(colour, kind, -right if side == "left" else right, int(ahead or 0), state or "")
    return None


@dataclass(frozen=True)
class Noun:
    """What a mission names. `colour` None: any; `kind` "object": any."""

    colour: str | None
    kind: str
    definite: bool = True
    """True for "the": only one such object was there at the start."""
    location: str = ""
    """Where it was at the start, for the agent: "on your left"; mostly empty. The five tasks have none."""

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}" if self.colour else self.kind

    def fits(self, colour: str, kind: str) -> bool:
        """Whether an object of this colour and kind may be meant."""
        return self.colour in (None, colour) and self.kind in ("object", kind)

    def __str__(self) -> str:
        return " ".join(filter(None, ("the" if self.definite else "a", self.name, self.location)))


@dataclass(frozen=True)
class Part:
    """One part of a mission: verb "go to", "pick up", "open" or "put" (then `beside` is set)."""

    verb: str
    noun: Noun
    beside: Noun | None = None

    def __str__(self) -> str:
        return f"{self.verb} {self.noun}" + (f" next to {self.beside}" if self.beside else "")


@dataclass(frozen=True)
class Mission:
    """What is to be done `first` and `then`; several parts of one of these in any order."""

    first: tuple[Part, ...] = ()
    then: tuple[Part, ...] = ()
    after: bool = False
    """Whether the text says "THEN after you FIRST" instead of "FIRST, then THEN"."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, in an order in which they may be done."""
        return self.first + self.then

    def __str__(self) -> str:
        first, then = (" and ".join(map(str, parts)) for parts in (self.first, self.then))
        if not then:
            return first
        return f"{then} after you {first}" if self.after else f"{first}, then {then}"


@lru_cache(maxsize=1024)
def read_mission(text: str) -> Mission:
    """Read a mission; an empty one where nothing is understood. Never raises."""
    then, after, first = text.lower()[:_MAX_MISSION].partition(" after you ")
    if not after:
        first, _, then = then.partition(", then ")
    parts = _read_parts(first), _read_parts(then)
    return Mission(*parts, after=bool(after)) if all(parts) else Mission(parts[0] + parts[1])


def _read_parts(text: str) -> tuple[Part, ...]:
    return tuple(
        Part(verb, _noun(*groups[:4]), _noun(*groups[4:]) if groups[4] else None)
        for verb, *groups in _PART.findall(text)
    )


def _noun(article: str, colour: str, kind: str, location: str) -> Noun:
    return Noun(colour or None, kind, article == "the", location)
