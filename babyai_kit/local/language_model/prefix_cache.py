"""Keys and values of token sequences seen before, as a tree: what sequences share is kept once.

Knows tokens and tensors; nothing of models, chats or sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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


class PrefixCache:
    """max_tokens: beyond it, the pieces not used for longest are forgotten. Not thread-safe."""

    def __init__(self, max_tokens: int) -> None:
        self._max, self.size, self._clock = max_tokens, 0, 0
        self._roots: dict[int, Node] = {}

    def find(self, tokens: Sequence[int]) -> list[Node]:
        """The pieces of the longest known beginning of `tokens`, in order; none if nothing is known."""
        self._clock += 1
        found: list[Node] = []
        children, start = self._roots, 0
        while start < len(tokens) and (node := children.get(tokens[start])):
            shared = _shared(node.tokens, tokens, start)
            if shared < len(node.tokens):
                node = self._split(node, shared)
            node.used = self._clock
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
            used=self._clock,
        )
        (parent.children if parent else self._roots)[node.tokens[0]] = node
        self.size += len(node.tokens)
        if self.size > self._max:
            self._forget()

    def clear(self) -> None:
        self._roots.clear()
        self.size = 0

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

    def _forget(self) -> None:
        # A quarter at once, so that this is rare.
        for node in sorted(self._leaves(self._roots), key=lambda leaf: leaf.used):
            leaf: Node | None = node
            while leaf is not None and not leaf.children:
                if self.size <= self._max * 3 // 4:
                    return
                del (leaf.parent.children if leaf.parent else self._roots)[leaf.tokens[0]]
                self.size -= len(leaf.tokens)
                leaf = leaf.parent if leaf.parent and leaf.parent.used <= node.used else None

    def _leaves(self, children: dict[int, Node]) -> Iterator[Node]:
        waiting = list(children.values())
        while waiting:
            node = waiting.pop()
            if not node.children:
                yield node
            waiting += node.children.values()


def _shared(piece: tuple[int, ...], tokens: Sequence[int], start: int) -> int:
    """How many tokens of `piece` stand in `tokens` from `start` on."""
    part = tuple(tokens[start : start + len(piece)])
    if part == piece:
        return len(piece)
    return shared_length(piece, part)
