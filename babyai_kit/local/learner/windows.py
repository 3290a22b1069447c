"""What a model is trained on: windows of turns, with the actions that are to be learnt.

A window holds the mission and up to WINDOW consecutive steps, and every action in it that is to be learnt is
learnt at once: that costs a fraction of one prompt per action.

Symmetries: left and right may be exchanged; so may colours and, where no door gives them a use of their own,
kinds. Windows are changed this way at random, since it makes no difference to the game.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from babyai_kit.environment.reading import read_observation
from babyai_kit.local.learner.tokenizer import (
    COLOURS,
    KINDS,
    PAD,
    TOKEN,
    TURN,
    VOCABULARY,
    Turn,
    encode_mission,
    encode_turn,
)

WINDOW = 9
"""Steps; so an action is learnt with 0 to 8 steps before it, whatever a prompt may show later."""

CONTEXT = 128
"""Tokens that a model of the usual shape can read; nine steps of the five tasks have 40 to 60."""

IGNORE = -100
"""Label of a token that is not learnt."""


@dataclass(frozen=True)
class Record:
    """A mission and consecutive steps of an episode; `learn` marks the actions to be learnt."""

    mission: str
    turns: tuple[Turn, ...]
    learn: tuple[bool, ...]


@dataclass(frozen=True)
class Batch:
    """int64 [rows, length] each: the label of a token is the token that follows, or IGNORE."""

    tokens: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class _Side:
    """A record's turns as tokens, on one side of the mirror."""

    tokens: np.ndarray
    marks: np.ndarray
    """Whether the token is to be learnt: actions, and the <turn> that ends an answer."""
    starts: np.ndarray
    """Index of each turn's first token; one more for the end."""


class Windows:
    """The windows of `records`, encoded once, of at most `context` tokens each (more than a mission has).

    Without `symmetries` they are used unchanged.
    """

    def __init__(self, records: Sequence[Record], *, symmetries: bool = True, context: int = CONTEXT) -> None:
        self._symmetries, self._context = symmetries, context
        self._missions = [np.array(encode_mission(record.mission)) for record in records]
        self._learn = [np.array(record.learn) for record in records]
        self._sides = [[_encode(r, r.turns) for r in records]]
        if symmetries:
            self._sides.append([_encode(r, [mirror(turn) for turn in r.turns]) for r in records])
        doors = np.isin(np.arange(len(VOCABULARY)), [TOKEN[f"{c} door"] for c in COLOURS] + [TOKEN["door"]])
        self._fixed_kinds = [
            bool(doors[side.tokens].any() or doors[mission].any())
            for side, mission in zip(self._sides[0], self._missions, strict=True)
        ]
        self.actions = int(sum(learn.sum() for learn in self._learn))
        """Actions learnt in an epoch."""

    def epoch(self, rng: np.random.Generator, rows: int) -> Iterator[Batch]:
        """Every action to be learnt once, in batches of `rows` windows in random order."""
        spans = [span for record in range(len(self._learn)) for span in self._cut(record, rng)]
        order = rng.permutation(len(spans))
        for start in range(0, len(order), rows):
            yield _pad([self._window(spans[k], rng) for k in order[start : start + rows]])

    def _cut(self, record: int, rng: np.random.Generator) -> Iterator[tuple[int, int, int]]:
        """Spans (record, first step, end); the first has a random length, so that the cuts move."""
        learn = self._learn[record]
        start, stop = 0, int(rng.integers(1, WINDOW + 1))
        while start < len(learn):
            if learn[start:stop].any():
                yield record, start, min(stop, len(learn))
            start, stop = stop, stop + WINDOW

    def _window(self, span: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and labels of a span; without its first steps if it has more tokens than the context."""
        record, start, stop = span
        side = self._sides[int(rng.integers(len(self._sides)))][record]
        mission = self._missions[record]
        last = side.starts[stop]
        while start < stop - 1 and len(mission) + last - side.starts[start] > self._context:
            start += 1
        first = max(side.starts[start], last + len(mission) - self._context)
        tokens = np.concatenate([mission, side.tokens[first:last], [TOKEN[TURN]]])
        marks = np.concatenate(
            [np.zeros(len(mission), bool), side.marks[first:last], [self._learn[record][stop - 1]]]
        )
        marks[len(mission)] = False  # the step before is not in the window
        if self._symmetries:
            tables = _recolourings()
            kinds = 0 if self._fixed_kinds[record] else int(rng.integers(tables.shape[1]))
            tokens = tables[int(rng.integers(len(tables))), kinds][tokens]
        return tokens[:-1], np.where(marks[1:], tokens[1:], IGNORE)


def _encode(record: Record, turns: Sequence[Turn]) -> _Side:
    tokens: list[int] = []
    marks: list[bool] = []
    starts = [0]
    before = False
    for turn, learn in zip(turns, record.learn, strict=True):
        encoded = encode_turn(turn)
        tokens += encoded
        marks += [before, *[False] * (len(encoded) - 2), learn]
        starts.append(len(tokens))
        before = learn
    return _Side(np.array(tokens), np.array(marks), np.array(starts))


def _pad(windows: Sequence[tuple[np.ndarray, np.ndarray]]) -> Batch:
    shape = len(windows), max(len(tokens) for tokens, _ in windows)
    batch = Batch(np.full(shape, TOKEN[PAD]), np.full(shape, IGNORE))
    for row, (tokens, labels) in enumerate(windows):
        batch.tokens[row, : len(tokens)], batch.labels[row, : len(labels)] = tokens, labels
    return batch


@lru_cache(maxsize=1)
def _recolourings() -> np.ndarray:
    """[colour permutations, kind permutations, vocabulary]: the token that stands for each token."""
    colours, kinds = list(itertools.permutations(COLOURS)), list(itertools.permutations(KINDS[:3]))
    tables = np.tile(np.arange(len(VOCABULARY)), (len(colours), len(kinds), 1))
    for i, new_colours in enumerate(colours):
        for j, new_kinds in enumerate(kinds):
            renamed = dict(zip(KINDS, (*new_kinds, KINDS[3]), strict=True))
            for colour, new in zip(COLOURS, new_colours, strict=True):
                for kind in KINDS:
                    tables[i, j, TOKEN[f"{colour} {kind}"]] = TOKEN[f"{new} {renamed[kind]}"]
    return tables


_OTHER_SIDE = {"left": "right", "right": "left"}
_OTHER_TURN = {"turn left": "turn right", "turn right": "turn left"}


@lru_cache(maxsize=65536)
def mirror(turn: Turn) -> Turn:
    """The turn as it would be with left and right exchanged, its lines in the order of such a view."""
    view = read_observation(turn.observation)
    walls = [replace(wall, side=_OTHER_SIDE.get(wall.side, wall.side)) for wall in view.walls]
    objects = [replace(obj, right=-obj.right) for obj in view.objects]
    mirrored = replace(
        view,
        walls=tuple(sorted(walls, key=lambda wall: ("forward", "left", "right").index(wall.side))),
        objects=tuple(sorted(objects, key=lambda obj: (obj.right, -obj.forward))),
    )
    return Turn(str(mirrored), _OTHER_TURN.get(turn.action, turn.action), turn.valid)
