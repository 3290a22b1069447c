"""Fine-tuning on packed examples: full updates of the upper layers, or low-rank ones (LoRA).

Knows tokens and weights; nothing of chats, files or the game.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.packing import Example, Tree, common_prefix, trees


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned."""

    epochs: float = 1.0
    learning_rate: float = 2e-4
    """Highest; rises over the first 10 updates and falls to 0 over the last 40% of them."""
    batch_examples: int = 18
    """Examples in an update, about."""
    frozen_layers: int = 15
    """Lowest layers that stay as they are; so do the embeddings."""
    seed: int = 0
    tree_tokens: int = 256
    prefix_age: int = 4
    """Updates after which the common prefix is computed anew."""


@dataclass(frozen=True)
class Progress:
    """An update, after which the model is as `step` says."""

    step: int
    steps: int
    """How many there will be, about."""
    examples: int
    tokens: int
    loss: float
    """Nats per learned token."""
    accuracy: float
    """Share of learned tokens that greedy decoding would have given."""


Prefix = list[tuple[Tensor, Tensor]]
"""Keys and values by layer, each of shape (heads, tokens, head width)."""


def train(model: Llama, examples: Sequence[Example], recipe: Recipe) -> Iterator[Progress]:
    """Fine-tune `model` in place; a generator, which is stopped by closing it.

    Weights of half precision are updated through copies in full precision.
    """
    trained = trained_parameters(model, recipe.frozen_layers)
    masters = [parameter.detach().float().clone().requires_grad_() for parameter in trained]
    optimizer = torch.optim.AdamW(masters, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    rng = random.Random(recipe.seed)
    prefix_tokens = common_prefix(examples)
    updates = max(1.0, recipe.epochs * len(examples) / recipe.batch_examples)
    prefix: Prefix = []
    seen = step = 0
    for batch in _batches(examples, len(prefix_tokens), recipe, rng):
        if step % recipe.prefix_age == 0:
            prefix = prefix_states(model, prefix_tokens)
        share = seen / (recipe.epochs * len(examples))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / 10, max(0.02, (1 - share) / 0.4))
        loss, accuracy = loss_of(model, batch, prefix)
        loss.backward()
        for master, parameter in zip(masters, trained, strict=True):
            master.grad = parameter.grad.float()
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        optimizer.step()
        with torch.no_grad():
            for master, parameter in zip(masters, trained, strict=True):
                parameter.copy_(master)
        step += 1
        count = sum(tree.examples for tree in batch)
        seen += count
        yield Progress(
            step,
            max(step, round(updates)),
            count,
            sum(len(tree.tokens) for tree in batch),
            loss.item(),
            accuracy,
        )


def trained_parameters(model: Llama, frozen_layers: int) -> list[torch.nn.Parameter]:
    """Those of the layers above the frozen ones and of the last norm; the others no longer want gradients."""
    model.requires_grad_(False)
    for layer in model.model["layers"][frozen_layers:]:
        layer.requires_grad_(True)
    model.model["norm"].requires_grad_(True)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _batches(
    examples: Sequence[Example], depth: int, recipe: Recipe, rng: random.Random
) -> Iterator[list[Tree]]:
    left = round(recipe.epochs * len(examples))
    while left > 0:
        batch: list[Tree] = []
        for tree in trees(examples, depth, max_tokens=recipe.tree_tokens, rng=rng):
            batch.append(tree)
            count = sum(one.examples for one in batch)
            if count >= recipe.batch_examples:
                yield batch
                left -= count
                batch = []
                if left <= 0:
                    return
        if batch:
            yield batch
            left -= sum(one.examples for one in batch)


def prefix_states(model: Llama, tokens: Sequence[int]) -> Prefix:
    """The keys and values of a prefix, as they are now: no gradient flows into them."""
    states: Prefix = []

    def attend(_: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        states.append((keys, values))
        return _attention(queries, keys, values, causal=True)

    if tokens:
        with torch.no_grad():
            device = model.embedding.device
            model(torch.tensor(tokens, device=device), torch.arange(len(tokens), device=device), attend)
    return states


def loss_of(model: Llama, batch: Sequence[Tree], prefix: Prefix) -> tuple[Tensor, float]:
    """Weighted mean of the cross-entropy of what is learned, in nats per token; and the share that is right."""
    device = model.embedding.device
    before = prefix[0][0].shape[1] if prefix else 0
    masks, spans, parents, start = [], [], [], 0
    for tree in batch:
        ancestry = tree.ancestry()
        masks.append(torch.cat([torch.ones(len(ancestry), before, dtype=torch.bool), ancestry], dim=1).to(device))
        spans.append((start, start + len(ancestry)))
        parents += [parent + start if parent >= 0 else -1 for parent in tree.parents]
        start += len(ancestry)

    def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        parts = []
        for (first, last), mask in zip(spans, masks, strict=True):
            key, value = keys[:, first:last], values[:, first:last]
            if prefix:
                key, value = torch.cat([prefix[layer][0], key], 1), torch.cat([prefix[layer][1], value], 1)
            parts.append(_attention(queries[:, first:last], key, value, mask=mask))
        return torch.cat(parts, 1)

    tokens = torch.tensor([token for tree in batch for token in tree.tokens], device=device)
    positions = torch.tensor([position for tree in batch for position in tree.positions], device=device)
    weights = torch.tensor([weight for tree in batch for weight in tree.weights], device=device)
    hidden = model(tokens, positions, attend)
    learned = weights.nonzero().squeeze(1)
    logits = model.logits(hidden[torch.tensor(parents, device=device)[learned]]).float()
    weights, targets = weights[learned], tokens[learned]
    losses = cross_entropy(logits, targets, reduction="none")
    right = (logits.detach().argmax(1) == targets).float()
    total = weights.sum()
    return (losses * weights).sum() / total, ((right * weights).sum() / total).item()


def _attention(
    queries: Tensor, keys: Tensor, values: Tensor, *, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    if mask is None:
        return scaled_dot_product_attention(
            queries[None], keys[None], values[None], is_causal=causal, enable_gqa=True
        )[0]
    # PyTorch's own function is several times slower here: on a CPU, in half precision, with a mask.
    heads, count, width = queries.shape
    groups = len(keys)
    scores = queries.reshape(groups, -1, width) @ keys.transpose(1, 2) * width**-0.5
    scores = scores.view(groups, -1, *mask.shape).masked_fill(~mask, -torch.inf)
    shares = scores.softmax(-1).view(groups, -1, mask.shape[1])
    return (shares @ values).view(heads, count, width)
