"""Text to tokens and back, made for BabyAI-Text: a phrase is a token, a step about seven of them.

The fixed text of the kit's prompts carries nothing for a model that has read nothing else, so the tokenizer
keeps what changes: mission, past steps, present observation. What it can't read becomes `<unknown>`, one
token per line.

A conversation is one sequence of turns: the mission, then per step `<turn>`, the observation, the action. An
answer is an action token and the `<turn>` that ends it, which is how the model stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from babyai_kit.environment.reading import Noun, Part, read_mission, read_observation
from babyai_kit.environment.tasks import ACTIONS
from babyai_kit.environment.text import VIEW_AHEAD, VIEW_ASIDE
from babyai_kit.local.player.prompt import read_sections

COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
KINDS = ("key", "ball", "box", "door")

PAD, TURN, UNKNOWN = "<pad>", "<turn>", "<unknown>"
_SPECIAL = (PAD, TURN, UNKNOWN, "<invalid>", "you carry", "open", "closed", "locked")
_MISSION = ("go to", "pick up", "put", "next to", "then", "after you")
_OBJECTS = tuple(f"{colour} {kind}" for colour in COLOURS for kind in KINDS)
_PLACES = tuple(
    f"{right} right {ahead} forward"
    for right in range(-VIEW_ASIDE, VIEW_ASIDE + 1)
    for ahead in range(VIEW_AHEAD + 1)
    if (right, ahead) != (0, 0)
)
_WALLS = (
    *(f"wall {n} forward" for n in range(1, VIEW_AHEAD + 1)),
    *(f"wall {n} left" for n in range(1, VIEW_ASIDE + 1)),
    *(f"wall {n} right" for n in range(1, VIEW_ASIDE + 1)),
)
_ANSWERS = tuple(json.dumps({"action": action}) for action in ACTIONS)
VOCABULARY: tuple[str, ...] = (*_SPECIAL, *_ANSWERS, *_MISSION, *KINDS, *_OBJECTS, *_PLACES, *_WALLS)
"""The text of each token; the index is the token."""

TOKEN: dict[str, int] = {text: token for token, text in enumerate(VOCABULARY)}
ACTION_TOKENS: tuple[int, ...] = tuple(TOKEN[answer] for answer in _ANSWERS)
"""Token of each action, in the order of ACTIONS."""
_ACTION = dict(zip(ACTIONS, ACTION_TOKENS, strict=True))

READS = 2
"""Past steps that the model reads, however many a prompt shows (docs/local-models.md: more did not help)."""


@dataclass(frozen=True)
class Turn:
    """One step as the model reads it: what was seen, and what was done then (an action's name)."""

    observation: str
    action: str
    valid: bool = True


@dataclass(frozen=True)
class Prompt:
    """What a prompt of the kit says."""

    mission: str
    history: tuple[Turn, ...]
    observation: str


def read_prompt(messages: Sequence[tuple[str, str]]) -> Prompt:
    """Read (role, text) messages as the kit's templates render them. Never raises: what is not there is "".

    The system message is not read: it says the same to every model of this kind.
    """
    sections = read_sections(messages)
    history = tuple(Turn(step.observation, step.action, step.valid) for step in sections.history)
    return Prompt(sections.mission, history, sections.observation)


@lru_cache(maxsize=4096)
def encode_mission(text: str) -> tuple[int, ...]:
    """Tokens of a mission, in the order of its text."""
    mission = read_mission(text)
    phrases, then = _phrases(mission.first), _phrases(mission.then)
    if then:
        phrases = [*then, "after you", *phrases] if mission.after else [*phrases, "then", *then]
    return _tokens(phrases if phrases or not text else [UNKNOWN])


def _phrases(parts: Iterable[Part]) -> list[str]:
    """The phrases of parts that are joined by "and", for which there is no token."""
    phrases: list[str] = []
    for part in parts:
        if phrases:
            phrases.append(UNKNOWN)
        phrases += [part.verb, *_noun_phrases(part.noun)]
        if part.beside:
            phrases += ["next to", *_noun_phrases(part.beside)]
    return phrases


def _noun_phrases(noun: Noun) -> list[str]:
    return [noun.name, UNKNOWN] if noun.location else [noun.name]


@lru_cache(maxsize=65536)
def encode_observation(text: str) -> tuple[int, ...]:
    """`<turn>` and the tokens of an observation, in the order of its lines."""
    view = read_observation(text)
    phrases = [TURN]
    if view.carried:
        phrases += ["you carry", view.carried.name]
    phrases += [f"wall {wall.distance} {wall.side}" for wall in view.walls]
    for obj in view.objects:
        if obj.state:
            phrases.append(obj.state)
        phrases += [obj.name, f"{obj.right} right {obj.forward} forward"]
    return _tokens(phrases + [UNKNOWN] * len(view.unknown))


def _tokens(phrases: Iterable[str]) -> tuple[int, ...]:
    return tuple(TOKEN.get(phrase, TOKEN[UNKNOWN]) for phrase in phrases)


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
