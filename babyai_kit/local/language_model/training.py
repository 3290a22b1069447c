"""Fine-tuning on packed examples: all weights of the upper layers, or low-rank updates of them.

Knows tokens and weights; nothing of chats, files or the game. A training that was interrupted goes on from
its state and ends with the same weights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from babyai_kit.local.language_model.attention import attention, bias_of, causal_mask
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.low_rank import add_low_rank, merge_low_rank
from babyai_kit.local.language_model.packing import Example, Tree, common_prefix, trees

PREFIX_AGE = 4
"""Updates after which the keys and values of the common prefix are computed anew."""
WARM_UP = 10
"""Updates over which the learning rate rises."""
DECAY = 0.4
"""Share of the training, at its end, over which the learning rate falls."""


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned."""

    epochs: float = 1.0
    learning_rate: float = 2e-4
    """The highest."""
    batch_examples: int = 18
    """Examples in an update, about."""
    frozen_layers: int = 15
    """Lowest layers that stay as they are; so do the embeddings."""
    rank: int | None = None
    """Of low-rank updates; None: all weights of the layers are trained."""
    tree_tokens: int = 256
    """Tokens of examples that are packed together, about."""
    seed: int = 0
    """Of the order of examples."""


@dataclass(frozen=True)
class Progress:
    """An update."""

    step: int
    """From 1."""
    steps: int
    """How many there will be, about."""
    examples: int
    tokens: int
    """That went through the model."""
    loss: float
    """Nats per learned token, before the update."""
    accuracy: float
    """Share of learned tokens that greedy decoding would have given."""


Prefix = list[tuple[Tensor, Tensor]]
"""Keys and values by layer, each of shape (heads, tokens, head width)."""


class Training:
    """Fine-tunes `model` in place. Weights of half precision are updated through copies in full precision."""

    def __init__(self, model: Llama, examples: Sequence[Example], recipe: Recipe) -> None:
        self._model, self._examples, self._recipe = model, examples, recipe
        if recipe.rank is None:
            self._trained = _upper_layers(model, recipe.frozen_layers)
        else:
            self._trained = add_low_rank(model, recipe.rank, recipe.frozen_layers, recipe.seed)
        self._copies = [weight.detach().float().clone().requires_grad_() for weight in self._trained]
        self._optimizer = torch.optim.AdamW(
            self._copies, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        self._prefix_tokens = common_prefix(examples)
        self.step = 0
        """Updates made."""
        self.tokens = 0
        """That went through the model in them."""
        self.share = 0.0
        """Of the training that is done, 0 to 1."""

    def state(self) -> dict[str, Any]:
        """All that is needed to go on; to be taken after a number of updates that PREFIX_AGE divides."""
        counts = {"step": self.step, "tokens": self.tokens, "share": self.share}
        return {**counts, "copies": self._copies, "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from the `state` of a training with the same model, examples and recipe."""
        self._optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for copy, stored in zip(self._copies, state["copies"], strict=True):
                copy.copy_(stored)
        self.step, self.tokens, self.share = state["step"], state["tokens"], state["share"]
        self._write_back()

    def run(self) -> Iterator[Progress]:
        """The updates; a generator, which may be closed after any of them."""
        recipe, rng = self._recipe, random.Random(self._recipe.seed)
        depth = len(self._prefix_tokens)
        planned = max(1, round(recipe.epochs * len(self._examples)))
        prefix: Prefix = []
        done = 0
        for number, batch in enumerate(_batches(self._examples, depth, planned, recipe, rng)):
            count = sum(tree.examples for tree in batch)
            done += count
            if number < self.step:
                continue
            if number % PREFIX_AGE == 0:
                prefix = prefix_states(self._model, self._prefix_tokens)
            left = 1 - (done - count) / planned
            rate = recipe.learning_rate * min(1.0, (number + 1) / WARM_UP, max(0.02, left / DECAY))
            loss, accuracy = self._update(batch, prefix, rate)
            tokens = sum(len(tree.tokens) for tree in batch)
            self.step, self.tokens = self.step + 1, self.tokens + tokens
            self.share = min(1.0, done / planned)
            yield Progress(
                self.step,
                max(self.step, round(planned * self.step / done)),
                count,
                tokens,
                loss,
                accuracy,
            )

    def finish(self) -> None:
        """Make low-rank updates part of the model."""
        merge_low_rank(self._model)

    def _update(self, batch: Sequence[Tree], prefix: Prefix, rate: float) -> tuple[float, float]:
        loss, accuracy = loss_of(self._model, batch, prefix)
        loss.backward()
        for copy, weight in zip(self._copies, self._trained, strict=True):
            assert weight.grad is not None
            copy.grad, weight.grad = weight.grad.float(), None
        torch.nn.utils.clip_grad_norm_(self._copies, 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._write_back()
        return loss.item(), accuracy

    def _write_back(self) -> None:
        with torch.no_grad():
            for copy, weight in zip(self._copies, self._trained, strict=True):
                weight.copy_(copy)


def train(model: Llama, examples: Sequence[Example], recipe: Recipe) -> Iterator[Progress]:
    """Fine-tune `model` in place, from beginning to end."""
    training = Training(model, examples, recipe)
    yield from training.run()
    training.finish()


@torch.no_grad()
def measure(model: Llama, examples: Sequence[Example], *, tree_tokens: int = 1024) -> tuple[float, float]:
    """Loss (nats per learned token) and share of right tokens over all `examples`."""
    tokens = common_prefix(examples)
    prefix = prefix_states(model, tokens)
    total = loss_sum = right = 0.0
    for tree in trees(examples, len(tokens), max_tokens=tree_tokens, rng=random.Random(0)):
        loss, accuracy = loss_of(model, [tree], prefix)
        weight = sum(tree.weights)
        total, loss_sum, right = total + weight, loss_sum + weight * loss.item(), right + weight * accuracy
    return loss_sum / total, right / total


def prefix_states(model: Llama, tokens: Sequence[int]) -> Prefix:
    """The keys and values of a prefix, as they are now: no gradient flows into them."""
    states: Prefix = []
    bias = bias_of(causal_mask(len(tokens), 0), model.shape.queries_per_key, model.embedding)

    def attend(_: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        states.append((keys, values))
        return attention(queries, keys, values, bias)

    if tokens:
        with torch.no_grad():
            device = model.embedding.device
            model(torch.tensor(tokens, device=device), torch.arange(len(tokens), device=device), attend)
    return states


def loss_of(model: Llama, batch: Sequence[Tree], prefix: Prefix) -> tuple[Tensor, float]:
    """Weighted means over what is learned: cross-entropy, in nats per token, and the share that is right."""
    device = model.embedding.device
    before = prefix[0][0].shape[1] if prefix else 0
    spans, biases, parents, start = [], [], [], 0
    for tree in batch:
        ancestry = tree.ancestry()
        own = slice(start, start + len(ancestry))
        spans.append(own)
        mask = torch.cat([ancestry.new_ones(len(ancestry), before), ancestry], 1)
        biases.append(bias_of(mask, model.shape.queries_per_key, model.embedding))
        # A tree begins with a token that follows on the prefix, and none of it is learned there.
        parents += [start + max(0, parent) for parent in tree.parents]
        start = own.stop

    def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        parts = []
        for own, bias in zip(spans, biases, strict=True):
            seen = keys[:, own], values[:, own]
            if prefix:
                seen = tuple(torch.cat(pair, 1) for pair in zip(prefix[layer], seen, strict=True))
            parts.append(attention(queries[:, own], *seen, bias))
        return torch.cat(parts, 1)

    def of_trees(name: str) -> Tensor:
        return torch.tensor([value for tree in batch for value in getattr(tree, name)], device=device)

    tokens, weights = of_trees("tokens"), of_trees("weights")
    hidden = model(tokens, of_trees("positions"), attend)
    learned = weights.nonzero().squeeze(1)
    logits = model.logits(hidden[torch.tensor(parents, device=device)[learned]]).float()
    weights, targets = weights[learned], tokens[learned]
    losses = cross_entropy(logits, targets, reduction="none")
    right = (logits.detach().argmax(1) == targets).float()
    total = weights.sum()
    return (losses * weights).sum() / total, float((right * weights).sum() / total)


def _upper_layers(model: Llama, frozen_layers: int) -> list[torch.nn.Parameter]:
    """The weights above the frozen layers; the others no longer want gradients."""
    model.requires_grad_(False)
    for part in (*model.model["layers"][frozen_layers:], model.model["norm"]):
        part.requires_grad_(True)
    return [weight for weight in model.parameters() if weight.requires_grad]


def _batches(
    examples: Sequence[Example], depth: int, planned: int, recipe: Recipe, rng: random.Random
) -> Iterator[list[Tree]]:
    """Trees of `planned` examples, about, in batches; every example once before any comes again."""
    done = 0
    while done < planned:
        batch: list[Tree] = []
        for tree in trees(examples, depth, max_tokens=recipe.tree_tokens, rng=rng):
            batch.append(tree)
            if sum(one.examples for one in batch) >= recipe.batch_examples:
                yield batch
                done += sum(one.examples for one in batch)
                batch = []
                if done >= planned:
                    return
        if batch:
            yield batch
            done += sum(one.examples for one in batch)
