"""Text to tokens and back, made for BabyAI-Text: a phrase is a token, a step about seven of them.

Knows the observation text, the missions of the five tasks and the kit's prompts; no model, no training.
The fixed text of the prompt carries nothing for a model that has read nothing else, so the tokenizer keeps
what changes: mission, past steps, present observation. What it can't read becomes `<unknown>`, a token a
line.

A conversation is one sequence of turns: the mission, then per step `<turn>`, the observation, the action. An
answer is an action token and the `<turn>` that ends it, which is how the model stops.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from babyai_kit.environment.tasks import ACTIONS

COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
KINDS = ("key", "ball", "box", "door")
AHEAD, ASIDE = 6, 3  # what one observation can show, in steps

PAD, TURN, UNKNOWN = "<pad>", "<turn>", "<unknown>"
_SPECIAL = (PAD, TURN, UNKNOWN, "<invalid>", "you carry", "open", "closed", "locked")
_MISSION = ("go to", "pick up", "put", "next to", "then", "after you")
_THINGS = tuple(f"{colour} {kind}" for colour in COLOURS for kind in KINDS)
_PLACES = tuple(
    f"{right} right {ahead} forward"
    for right in range(-ASIDE, ASIDE + 1)
    for ahead in range(AHEAD + 1)
    if (right, ahead) != (0, 0)
)
_WALLS = (
    *(f"wall {n} forward" for n in range(1, AHEAD + 1)),
    *(f"wall {n} left" for n in range(1, ASIDE + 1)),
    *(f"wall {n} right" for n in range(1, ASIDE + 1)),
)
_ANSWERS = tuple(json.dumps({"action": action}) for action in ACTIONS)
VOCABULARY: tuple[str, ...] = (*_SPECIAL, *_ANSWERS, *_MISSION, *KINDS, *_THINGS, *_PLACES, *_WALLS)
"""The text of each token; the index is the token."""

TOKEN: dict[str, int] = {text: token for token, text in enumerate(VOCABULARY)}
ACTION_TOKENS: tuple[int, ...] = tuple(TOKEN[answer] for answer in _ANSWERS)
"""Token of each action, in the order of ACTIONS."""
_ACTION = dict(zip(ACTIONS, ACTION_TOKENS, strict=True))

_THING = re.compile(
    r"an? (?:(open|closed|locked) )?(\w+ \w+) (?:(\d) steps? (left|right))?(?: and )?(?:(\d) steps? forward)?"
)
_WALL = re.compile(r"a wall (\d) steps? (forward|left|right)")
_CARRY = re.compile(r"you carry an? (\w+ \w+)")
_NOUN = rf"(?:(?:the|an?) )?((?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join(KINDS)}))\b"
_PHRASE = re.compile(rf"{'|'.join(('open', *_MISSION))}|{_NOUN}|\w+")
_USER = re.compile(r"^Mission:[ \t]*(.*?)\n(.*)^Current observation:\n(.*)\Z", re.DOTALL | re.MULTILINE)
_STEP = re.compile(r"^Observation:\n(.*?)^Action: ([^\n]*)(\nNote:)?", re.DOTALL | re.MULTILINE)
READS = 2
"""Past steps that the model reads, however many a prompt shows; more did not help (see README)."""
_MAX_TEXT = 100_000  # characters of a prompt that are read; the kit's own have a few thousand


@dataclass(frozen=True)
class Turn:
    """One step as the model reads it: what was seen, and what was done then (an action's name)."""

    observation: str
    action: str
    valid: bool = True


@dataclass(frozen=True)
class Prompt:
    """What a prompt of the kit tells."""

    mission: str
    history: tuple[Turn, ...]
    observation: str


def read_prompt(messages: Sequence[tuple[str, str]]) -> Prompt:
    """Read (role, text) messages as the kit's templates render them. Never raises: what is not there is "".

    The system message is not read: it says the same to every model of this kind.
    """
    text = "\n".join(text for role, text in messages if role == "user")[-_MAX_TEXT:]
    found = _USER.search(text)
    if found is None:
        return Prompt("", (), text)
    mission, past, observation = found.groups()
    history = tuple(
        Turn(seen.strip("\n"), done.strip(), not note) for seen, done, note in _STEP.findall(past)
    )
    return Prompt(mission.strip(), history, observation.strip("\n"))


@lru_cache(maxsize=4096)
def encode_mission(text: str) -> tuple[int, ...]:
    """Tokens of a mission."""
    found = _PHRASE.finditer(text.lower())
    return tuple(TOKEN.get(match[1] or match[0], TOKEN[UNKNOWN]) for match in found)


@lru_cache(maxsize=65536)
def encode_observation(text: str) -> tuple[int, ...]:
    """`<turn>` and the tokens of an observation, in the order of its lines."""
    tokens = [TOKEN[TURN]]
    for line in text.lower().splitlines():
        tokens += _encode_line(line.strip())
    return tuple(tokens)


def _encode_line(line: str) -> Iterable[int]:
    if wall := _WALL.fullmatch(line):
        phrases = [f"wall {wall[1]} {wall[2]}"]
    elif carry := _CARRY.fullmatch(line):
        phrases = ["you carry", carry[1]]
    elif thing := _THING.fullmatch(line):
        state, name, aside, side, ahead = thing.groups()
        right = int(aside or 0) * (-1 if side == "left" else 1)
        phrases = [*([state] if state else []), name, f"{right} right {int(ahead or 0)} forward"]
    else:
        return [TOKEN[UNKNOWN]]
    return [TOKEN.get(phrase, TOKEN[UNKNOWN]) for phrase in phrases]


def encode_turn(turn: Turn) -> list[int]:
    """Tokens of a past step: observation, action, and a mark if the action was not the model's own."""
    action = _ACTION.get(turn.action, TOKEN[UNKNOWN])
    return [*encode_observation(turn.observation), *([] if turn.valid else [TOKEN["<invalid>"]]), action]


def encode_prompt(prompt: Prompt, context: int) -> list[int]:
    """At most `context` tokens: mission, the last READS steps as far as they fit, present observation.

    A longer observation loses its first tokens.
    """
    mission, present = encode_mission(prompt.mission), encode_observation(prompt.observation)
    past: list[int] = []
    for turn in reversed(prompt.history[-READS:]):
        tokens = encode_turn(turn)
        if len(mission) + len(tokens) + len(past) + len(present) > context:
            break
        past = tokens + past
    return [*mission, *past, *present][-context:]


def answered_action(text: str) -> str | None:
    """The action that an answer names, or None if it is no JSON object with one of the six."""
    try:
        action = json.loads(text)["action"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return action if isinstance(action, str) and action in _ACTION else None


def decode(tokens: Iterable[int]) -> str:
    """The text of an answer; its closing `<turn>` is not part of it."""
    return "".join(VOCABULARY[token] for token in tokens if token != TOKEN[TURN])
