"""Training examples as trees of tokens: what examples have in common is computed once.

The steps of an episode repeat its mission, those of a dialogue all that went before: without this, nine of
ten tokens of a batch would be repetitions. Knows tokens and which of them are learned; nothing of chats,
models or the game.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, order=True)
class Example:
    """A conversation in tokens."""

    tokens: tuple[int, ...]
    answer_start: int
    """Where its last answer starts, which is learned to the end."""
    earlier: tuple[tuple[int, int], ...] = ()
    """Half-open spans of earlier answers that are learned too."""

    def learned(self) -> Iterator[tuple[int, bool]]:
        """(Position, whether it belongs to the last answer) of each token that is learned."""
        for start, end in self.earlier:
            yield from ((position, False) for position in range(start, end))
        yield from ((position, True) for position in range(self.answer_start, len(self.tokens)))


@dataclass
class Tree:
    """Examples as a tree, its tokens in an order in which a token's parent comes before it.

    A token's position in its conversation is its depth, counted from `depth`, the length of the prefix that
    the tree hangs on.
    """

    depth: int
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """Index of the token before; -1: the prefix's last."""
    positions: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """In how many last answers each token is."""
    earlier: list[bool] = field(default_factory=list)
    """Whether it is in an earlier answer that is learned."""
    examples: int = 0
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def weights(self) -> list[float]:
        """How much each token is learned: once by each last answer; by earlier answers alone, once."""
        pairs = zip(self.answers, self.earlier, strict=True)
        return [float(max(count, earlier)) for count, earlier in pairs]

    def add(self, example: Example) -> None:
        path = []
        node = -1
        for position, token in enumerate(example.tokens[self.depth :], start=self.depth):
            parent, node = node, self._children.get((node, token), -1)
            if node < 0:
                node = len(self.tokens)
                self._children[parent, token] = node
                self.tokens.append(token)
                self.parents.append(parent)
                self.positions.append(position)
                self.answers.append(0)
                self.earlier.append(False)
            path.append(node)
        for position, last in example.learned():
            node = path[position - self.depth]
            if last:
                self.answers[node] += 1
            else:
                self.earlier[node] = True
        self.examples += 1

    def ancestry(self) -> Tensor:
        """Boolean, of shape (tokens, tokens): whether the row's token follows on the column's or is it."""
        seen = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def common_prefix(examples: Sequence[Example]) -> tuple[int, ...]:
    """The tokens with which all begin, none of which is learned."""
    first, last = min(examples), max(examples)
    shared = shared_length(first.tokens, last.tokens)
    # A tree begins with a token of its own, and what is learned follows a token that is computed with it.
    return first.tokens[: min(shared, *(_first_learned(e) - 1 for e in examples))]


def _first_learned(example: Example) -> int:
    return min([example.answer_start, *(start for start, _ in example.earlier)])


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def trees(examples: Iterable[Example], depth: int, *, max_tokens: int, rng: random.Random) -> Iterator[Tree]:
    """All `examples` as trees over a prefix of `depth` tokens, in an order of `rng`.

    A tree has about `max_tokens` tokens, or more where the next example shares most of itself with it: to
    part a dialogue would repeat its beginning.
    """
    made, tree = [], Tree(depth)
    # The first tree is cut short at random, so that the cuts fall elsewhere each time.
    limit = rng.randint(1, max_tokens)
    before: Example | None = None
    for example in _neighbours(examples, rng):
        own = len(example.tokens) - depth
        if (
            before
            and len(tree.tokens) >= limit
            and shared_length(before.tokens, example.tokens) - depth < own / 2
        ):
            made.append(tree)
            tree, limit = Tree(depth), max_tokens
        tree.add(example)
        before = example
    if tree.tokens:
        made.append(tree)
    rng.shuffle(made)
    yield from made


def _neighbours(examples: Iterable[Example], rng: random.Random) -> list[Example]:
    """Sorted so that what shares a beginning stands together, in an order of tokens that `rng` chooses."""
    examples = list(examples)
    names = sorted({token for example in examples for token in example.tokens})
    ranks = dict(zip(names, rng.sample(range(len(names)), len(names)), strict=True))
    return sorted(examples, key=lambda example: [ranks[token] for token in example.tokens])
