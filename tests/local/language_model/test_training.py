"""Packed training is that of full texts one by one, and goes on as if it had not been interrupted."""

from __future__ import annotations

import copy
import io
import random
from dataclasses import replace
from typing import Any

import pytest

from tests.local.language_model import NO_LLM

for name in ("torch", "gguf", "safetensors"):
    pytest.importorskip(name, reason=NO_LLM)

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.low_rank import add_low_rank, merge_low_rank, merged_tensors
from babyai_kit.local.language_model.packing import Example, Tree, common_prefix, trees
from babyai_kit.local.language_model.shape import LlamaShape
from babyai_kit.local.language_model.training import (
    PREFIX_AGE,
    Recipe,
    Training,
    loss_of,
    measure,
    prefix_states,
    train,
)
from tests.support.tiny_llama import logits_of, random_llama

SHAPE = LlamaShape(vocabulary=40, width=16, layers=3, heads=4, kv_heads=2, hidden=24, context=128)


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    """Conversations that share beginnings of any length, and none."""
    shared = draw(st.lists(st.integers(0, 2), max_size=6))
    found = []
    for _ in range(draw(st.integers(1, 6))):
        rest = draw(st.lists(st.integers(0, 2), min_size=3, max_size=12))
        tokens = (*shared, *rest)
        cuts = sorted(draw(st.sets(st.integers(1, len(tokens) - 1), min_size=1, max_size=5)))
        *earlier, start = cuts
        spans = tuple(zip(earlier[::2], earlier[1::2], strict=False))
        found.append(Example(tokens, start, spans))
    return found


def weights_of(examples: list[Example]) -> dict[tuple[int, ...], float]:
    """How much each beginning's last token is learned."""
    last: dict[tuple[int, ...], int] = {}
    earlier = set()
    for example in examples:
        for position, in_last in example.learned():
            beginning = example.tokens[: position + 1]
            if in_last:
                last[beginning] = last.get(beginning, 0) + 1
            else:
                earlier.add(beginning)
    return {beginning: float(max(last.get(beginning, 0), 1)) for beginning in {*last, *earlier}}


def plain_loss(model: Llama, examples: list[Example], prefix: int) -> Tensor:
    """Of one beginning after the other; no gradient flows into the keys and values of the `prefix`."""

    def attend(_: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        keys, values = (
            torch.cat([part[:, :prefix].detach(), part[:, prefix:]], 1) for part in (keys, values)
        )
        return torch.nn.functional.scaled_dot_product_attention(
            queries[None], keys[None], values[None], is_causal=True, enable_gqa=True
        )[0]

    total, loss = 0.0, torch.zeros(())
    for beginning, weight in weights_of(examples).items():
        before = torch.tensor(beginning[:-1])
        logits = model.logits(model(before, torch.arange(len(before)), attend)[-1])
        loss = loss + weight * cross_entropy(logits, torch.tensor(beginning[-1]))
        total += weight
    return loss / total


def gradients(model: Llama, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@settings(max_examples=30)
@given(examples=examples(), order=st.randoms(use_true_random=False))
def test_the_gradient_of_trees_is_that_of_full_texts(examples: list[Example], order: random.Random):
    model = random_llama(1, SHAPE)
    prefix = common_prefix(examples)
    tree = Tree(len(prefix))
    order.shuffle(examples)
    for example in examples:
        tree.add(example)
    assert {tuple(e.tokens[: len(prefix)]) for e in examples} == {prefix}
    loss, accuracy = loss_of(model, [tree], prefix_states(model, prefix))
    packed = gradients(model, loss)
    expected_loss = plain_loss(model, examples, len(prefix))
    expected = gradients(model, expected_loss)
    assert loss.item() == pytest.approx(expected_loss.item(), abs=1e-5)
    assert 0 <= accuracy <= 1
    assert packed.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(packed[name], gradient, atol=2e-5), name


@settings(max_examples=50)
@given(examples=examples(), max_tokens=st.integers(1, 60), seed=st.integers(0, 99))
def test_every_example_is_packed_once(examples: list[Example], max_tokens: int, seed: int):
    depth = len(common_prefix(examples))
    made = list(trees(examples, depth, max_tokens=max_tokens, rng=random.Random(seed)))
    assert sum(tree.examples for tree in made) == len(examples)
    for tree in made:
        ancestry = tree.ancestry()
        assert ancestry.sum(1).tolist() == [position - depth + 1 for position in tree.positions]
        assert all(parent < node for node, parent in enumerate(tree.parents))
    last = sum(len(example.tokens) - example.answer_start for example in examples)
    assert sum(sum(tree.answers) for tree in made) == last


def dialogues(count: int, *, seed: int = 0) -> list[Example]:
    """Conversations with something to learn: the answer is what comes after the question's last token."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        question = [rng.randrange(10) for _ in range(4)]
        tokens = (*range(10, 20), *question, 30, (question[-1] + 1) % 10, 31)
        found.append(Example(tokens, len(tokens) - 2))
    return found


def parameters(model: Llama) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in merged_tensors(model).items()}


RECIPES = [
    Recipe(epochs=3, frozen_layers=1, batch_examples=4, tree_tokens=20, learning_rate=3e-3, seed=5),
    Recipe(epochs=3, frozen_layers=1, batch_examples=4, tree_tokens=20, learning_rate=3e-3, rank=4),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=["full", "low rank"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_interrupted_training_ends_with_the_same_weights(recipe: Recipe, dtype: torch.dtype):
    def training() -> Training:
        return Training(random_llama(2, SHAPE).to(dtype), dialogues(30), recipe)

    whole = training()
    steps = [(update.step, update.loss) for update in whole.run()]
    stored = io.BytesIO()
    cut = training()
    for update in cut.run():
        if update.step == 2 * PREFIX_AGE:
            torch.save(cut.state(), stored)
        if update.step == 2 * PREFIX_AGE + 2:
            break
    stored.seek(0)
    resumed = training()
    resumed.restore(torch.load(stored, weights_only=True))
    assert [(update.step, update.loss) for update in resumed.run()] == steps[2 * PREFIX_AGE :]
    assert (resumed.step, resumed.tokens) == (whole.step, whole.tokens)
    expected = parameters(whole._model)
    assert all(torch.equal(weight, expected[name]) for name, weight in parameters(resumed._model).items())


@pytest.mark.parametrize("recipe", RECIPES, ids=["full", "low rank"])
def test_what_examples_show_is_learned_by_the_upper_layers(recipe: Recipe):
    model = random_llama(2, SHAPE)
    before = parameters(model)
    first = measure(model, dialogues(20, seed=9))
    updates = list(train(model, dialogues(200), replace(recipe, epochs=10)))
    loss, accuracy = measure(model, dialogues(20, seed=9))
    assert loss < first[0] / 2
    assert accuracy > 0.7
    assert updates[-1].step == updates[-1].steps == len(updates)
    after = parameters(model)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    upper = {name for name in after if name.startswith(("model.layers.1.", "model.layers.2."))}
    if recipe.rank is None:
        assert changed == upper | {"model.norm.weight"}
    else:
        assert changed == {name for name in upper if "norm" not in name}


def test_a_measure_is_that_of_full_texts():
    model, found = random_llama(3, SHAPE), dialogues(15)
    loss, _ = measure(model, found, tree_tokens=30)
    with torch.no_grad():
        assert loss == pytest.approx(float(plain_loss(model, found, 0)), abs=1e-5)


@pytest.mark.parametrize("frozen_layers", [0, 2])
def test_merged_updates_do_what_they_did_beside_the_layers(frozen_layers: int):
    model, tokens = random_llama(4, SHAPE), [1, 2, 3, 4, 5]
    untouched = parameters(model)
    added = add_low_rank(model, 3, frozen_layers, seed=1)
    assert len(added) == 2 * 7 * (SHAPE.layers - frozen_layers)
    before = logits_of(model, tokens)
    assert torch.equal(before, logits_of(random_llama(4, SHAPE), tokens))
    with torch.no_grad():
        for number, weight in enumerate(added):
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
    expected = logits_of(model, tokens)
    assert not torch.allclose(expected, before, atol=0.1)
    tensors = merged_tensors(copy.deepcopy(model))
    merge_low_rank(model)
    assert torch.allclose(logits_of(model, tokens), expected, atol=1e-4)
    state: dict[str, Any] = model.state_dict()
    assert state.keys() == tensors.keys() == untouched.keys()
    assert all(torch.equal(state[name], tensors[name]) for name in state)
