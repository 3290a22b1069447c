"""Many answers at once: a pass of the model advances each of them.

A prompt's tokens and an answer's next ones go through the model together, so that a call that arrives joins
the others at once. What was computed before is looked up (see `prefix_cache`); a question that was answered
before, at whatever temperature, costs no pass at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from babyai_kit.local.language_model.attention import attention, bias_of, causal_mask
from babyai_kit.local.language_model.generation import Generation
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.prefix_cache import CacheBudget, Node, PrefixCache

CACHED_TOKENS = 40_000
"""Of all models together: 0.9 GB for 135 million parameters in half precision."""
TOKENS_PER_PASS = 4_096
"""About, so that nobody waits long for the prompts of others."""
PIECE = 512
"""Longest piece of one prompt in a pass."""
WAITS_FOR = 32
"""A prompt waits for another that is being computed if they share so many tokens that are not known yet."""
FEW = 8
"""Logits of a smaller share of the tokens than one in so many are computed by themselves."""
KEPT_SINGLY = 16
"""Tokens of an answer after which others may part; the rest is kept in one piece."""


@dataclass(eq=False)
class _Sequence:
    """A generation, and the keys and values of its first `computed` tokens."""

    generation: Generation
    keys: Tensor
    """Of shape (layers, heads, room, head width); so are `values`."""
    values: Tensor
    computed: int = 0
    hidden: Tensor | None = None
    """Of the last computed token."""

    def hold(self, nodes: Sequence[Node], known: int, room: int) -> None:
        """Room for `room` tokens, the first ones those of `nodes` if that is more than is there."""
        if self.keys.shape[2] >= room and known <= self.computed:
            return
        pieces = [(self.keys, self.values)]
        if known > self.computed:
            pieces, self.computed = [(node.keys, node.values) for node in nodes], known
        shape = (*self.keys.shape[:2], room + KEPT_SINGLY, self.keys.shape[3])
        self.keys, self.values = self.keys.new_empty(shape), self.values.new_empty(shape)
        start = 0
        for keys, values in pieces:
            end = min(start + keys.shape[2], self.computed)
            self.keys[:, :, start:end] = keys[:, :, : end - start]
            self.values[:, :, start:end] = values[:, :, : end - start]
            start = end


class Generator:
    """For one model. Not thread-safe. budget: how many tokens' keys and values are kept, others' included."""

    def __init__(self, model: Llama, budget: CacheBudget | None = None) -> None:
        self._model = model
        self._cache = PrefixCache(budget or CacheBudget(CACHED_TOKENS))
        self._active: list[_Sequence] = []
        self._head: Tensor | None = None

    @property
    def busy(self) -> bool:
        return bool(self._active)

    def forget(self) -> None:
        """Forget what was computed before."""
        self._cache.clear()

    def add(self, generation: Generation) -> None:
        shape = self._model.shape
        none = self._model.embedding.new_empty((shape.layers, shape.kv_heads, 0, shape.head_width))
        self._active.append(_Sequence(generation, none, none))

    def drop(self, generation: Generation) -> None:
        """Nobody waits for it any longer."""
        self._active = [sequence for sequence in self._active if sequence.generation is not generation]

    @torch.inference_mode()
    def step(self) -> list[Generation]:
        """One pass of the model at most. Returns what has ended."""
        batch: list[tuple[_Sequence, list[int]]] = []
        beginnings: set[tuple[int, ...]] = set()
        size = 0
        for sequence in self._active:
            nodes = self._look_up(sequence)
            if sequence.generation.ended or size >= TOKENS_PER_PASS:
                continue
            tokens = sequence.generation.tokens
            start = min(max(sequence.computed, sum(len(node.tokens) for node in nodes)), len(tokens) - 1)
            new = tokens[start : start + PIECE]
            beginning = tuple(new[:WAITS_FOR])
            if len(beginning) == WAITS_FOR:
                if beginning in beginnings:
                    continue
                beginnings.add(beginning)
            sequence.hold(nodes, start, start + len(new))
            batch.append((sequence, new))
            size += len(new)
        if batch:
            self._compute(batch)
        for sequence in self._active:
            # A dialogue goes on from the answer, so that it is kept with its prompt.
            if sequence.generation.ended and len(sequence.generation.answer) > KEPT_SINGLY:
                self._keep(sequence)
        ended = [sequence.generation for sequence in self._active if sequence.generation.ended]
        self._active = [sequence for sequence in self._active if not sequence.generation.ended]
        return ended

    def _look_up(self, sequence: _Sequence) -> list[Node]:
        """The known pieces of a sequence, after it has gone on as far as it is known."""
        generation = sequence.generation
        nodes: list[Node] = []
        while not generation.ended and (not sequence.computed or len(generation.answer) <= KEPT_SINGLY):
            nodes = self._cache.find(generation.tokens)
            known = sum(len(node.tokens) for node in nodes)
            if generation.cached_tokens is None:
                generation.cached_tokens = min(known, len(generation.prompt))
            if known < len(generation.tokens) or nodes[-1].hidden is None:
                break
            generation.go_on(nodes[-1].hidden, self._logits)
        return nodes

    def _compute(self, batch: Sequence[tuple[_Sequence, list[int]]]) -> None:
        device = self._model.embedding.device
        spans, biases, first = [], [], 0
        for sequence, new in batch:
            before, last = sequence.computed, first + len(new)
            spans.append((sequence, slice(first, last), slice(before, before + len(new))))
            biases.append(self._bias(len(new), before))
            first = last

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            parts = []
            for (sequence, own, place), bias in zip(spans, biases, strict=True):
                sequence.keys[layer][:, place] = keys[:, own]
                sequence.values[layer][:, place] = values[:, own]
                seen = sequence.keys[layer][:, : place.stop], sequence.values[layer][:, : place.stop]
                parts.append(attention(queries[:, own], *seen, bias))
            return torch.cat(parts, 1)

        tokens = torch.tensor([token for _, new in batch for token in new], device=device)
        positions = torch.cat([torch.arange(p.start, p.stop, device=device) for _, _, p in spans])
        hidden = self._model(tokens, positions, attend)
        logits = self._logits_of(hidden[[own.stop - 1 for _, own, _ in spans]])
        for row, (sequence, own, place) in enumerate(spans):
            sequence.computed, sequence.hidden = place.stop, hidden[own.stop - 1]
            generation = sequence.generation
            if len(generation.answer) <= KEPT_SINGLY:
                self._keep(sequence)
            if sequence.computed == len(generation.tokens):
                generation.go_on(sequence.hidden, partial(logits, row))

    def _bias(self, count: int, before: int) -> Tensor | None:
        if count == 1:
            return None
        return bias_of(causal_mask(count, before), self._model.shape.queries_per_key, self._model.embedding)

    def _keep(self, sequence: _Sequence) -> None:
        """Add what was computed of a sequence to the cache."""
        end = sequence.computed
        if sequence.hidden is not None:
            tokens = sequence.generation.tokens[:end]
            self._cache.add(tokens, sequence.keys[:, :, :end], sequence.values[:, :, :end], sequence.hidden)

    def _logits(self, hidden: Tensor, tokens: Tensor | None) -> Tensor:
        """In full precision: in half of it, likely tokens would often be equally likely."""
        return self._logits_of(hidden[None])(0, hidden, tokens)

    def _logits_of(self, states: Tensor) -> Callable[[int, Tensor, Tensor | None], Tensor]:
        """Those of row, its hidden state and tokens: of all rows at once when the first needs many tokens,
        since to read the whole embedding is what takes the time."""
        embedding = self._model.embedding
        together: Tensor | None = None

        def logits(row: int, hidden: Tensor, tokens: Tensor | None) -> Tensor:
            nonlocal together
            if tokens is not None and len(tokens) < len(embedding) // FEW:
                return linear(hidden.float(), embedding[tokens].float())
            if together is None:
                if self._head is None:
                    self._head = embedding.float()
                together = linear(states.float(), self._head)
            return together[row] if tokens is None else together[row][tokens]

        return logits
