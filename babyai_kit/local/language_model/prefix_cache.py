"""Keys and values of token sequences seen before, as a tree: what sequences share is kept once.

Knows tokens and tensors; nothing of models, chats or sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from weakref import WeakSet

from torch import Tensor

from babyai_kit.local.language_model.packing import shared_length


@dataclass(eq=False)
class Node:
    """A piece of a sequence."""

    tokens: tuple[int, ...]
    keys: Tensor
    """Of shape (layers, heads, tokens, head width); so are `values`."""
    values: Tensor
    hidden: Tensor | None
    """The hidden state of the last token, of shape (width,); None: not known."""
    parent: Node | None = None
    children: dict[int, Node] = field(default_factory=dict)
    """By their first token."""
    used: int = 0
    """When it was last looked up, in look-ups."""


class CacheBudget:
    """What several caches may keep together. Beyond `max_tokens`, the pieces not used for longest are
    forgotten, whichever cache has them. Not thread-safe."""

    def __init__(self, max_tokens: int) -> None:
        self._max = max_tokens
        self.clock = 0
        """The time, in look-ups of all caches."""
        self._caches: WeakSet[PrefixCache] = WeakSet()

    @property
    def size(self) -> int:
        """Tokens that are kept."""
        return sum(cache.size for cache in self._caches)

    def add(self, cache: PrefixCache) -> None:
        self._caches.add(cache)

    def make_room(self) -> None:
        if self.size <= self._max:
            return
        leaves = [(node, cache) for cache in self._caches for node in cache.leaves()]
        # A quarter at once, so that this is rare.
        for node, cache in sorted(leaves, key=lambda pair: pair[0].used):
            leaf: Node | None = node
            while leaf is not None and not leaf.children:
                if self.size <= self._max * 3 // 4:
                    return
                cache.remove(leaf)
                leaf = leaf.parent if leaf.parent and leaf.parent.used <= node.used else None


class PrefixCache:
    """Of one model. `budget`: what it may keep, with others. Not thread-safe."""

    def __init__(self, budget: CacheBudget) -> None:
        self._budget, self.size = budget, 0
        self._roots: dict[int, Node] = {}
        budget.add(self)

    def find(self, tokens: Sequence[int]) -> list[Node]:
        """The pieces of the longest known beginning of `tokens`, in order; none if nothing is known."""
        self._budget.clock += 1
        found: list[Node] = []
        children, start = self._roots, 0
        while start < len(tokens) and (node := children.get(tokens[start])):
            shared = _shared(node.tokens, tokens, start)
            if shared < len(node.tokens):
                node = self._split(node, shared)
            node.used = self._budget.clock
            found.append(node)
            start += shared
            children = node.children
        return found

    def add(self, tokens: Sequence[int], keys: Tensor, values: Tensor, hidden: Tensor) -> None:
        """Keep a sequence of one token or more, as far as it is not known; the tensors are copied.

        Shapes as in Node, for all of `tokens`.
        """
        nodes = self.find(tokens)
        known = sum(len(node.tokens) for node in nodes)
        parent = nodes[-1] if nodes else None
        if parent and known == len(tokens):
            parent.hidden = hidden.clone()
            return
        node = Node(
            tuple(tokens[known:]),
            keys[:, :, known:].clone(),
            values[:, :, known:].clone(),
            hidden.clone(),
            parent,
            used=self._budget.clock,
        )
        (parent.children if parent else self._roots)[node.tokens[0]] = node
        self.size += len(node.tokens)
        self._budget.make_room()

    def remove(self, leaf: Node) -> None:
        """Forget a piece without children."""
        del (leaf.parent.children if leaf.parent else self._roots)[leaf.tokens[0]]
        self.size -= len(leaf.tokens)

    def clear(self) -> None:
        # Piece by piece: parents and children that know each other would stay in memory for a while.
        waiting = list(self._roots.values())
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            node.parent = None
            node.children.clear()
        self._roots.clear()
        self.size = 0

    def leaves(self) -> Iterator[Node]:
        waiting = list(self._roots.values())
        while waiting:
            node = waiting.pop()
            if not node.children:
                yield node
            waiting += node.children.values()

    def _split(self, node: Node, length: int) -> Node:
        """The first `length` tokens of `node` as a piece of its own."""
        # Copies, since a part of a tensor keeps the whole in memory when the rest is forgotten.
        upper = Node(
            node.tokens[:length],
            node.keys[:, :, :length].clone(),
            node.values[:, :, :length].clone(),
            None,
            node.parent,
            {node.tokens[length]: node},
            node.used,
        )
        (node.parent.children if node.parent else self._roots)[upper.tokens[0]] = upper
        node.parent, node.tokens = upper, node.tokens[length:]
        node.keys, node.values = node.keys[:, :, length:].clone(), node.values[:, :, length:].clone()
        return upper


def _shared(piece: tuple[int, ...], tokens: Sequence[int], start: int) -> int:
    """How many tokens of `piece` stand in `tokens` from `start` on."""
    part = tuple(tokens[start : start + len(piece)])
    if part == piece:
        return len(piece)
    return shared_length(piece, part)
