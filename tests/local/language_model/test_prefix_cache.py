"""What the cache finds is what was added, however pieces were split and forgotten."""

from __future__ import annotations

import gc
import weakref

import pytest

from tests.local.language_model import NO_LLM

pytest.importorskip("torch", reason=NO_LLM)

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from babyai_kit.local.language_model.prefix_cache import CacheBudget, Node, PrefixCache

SEQUENCES = st.lists(st.integers(0, 2), min_size=1, max_size=12)


def state(tokens: list[int]) -> float:
    """A number that belongs to a sequence, as keys and values do."""
    return float(int("1" + "".join(map(str, tokens)), 5))


def tensors(tokens: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and hidden state of a sequence."""
    keys = torch.tensor([state(tokens[: n + 1]) for n in range(len(tokens))], dtype=torch.float64)
    keys = keys[None, None, :, None].expand(2, 3, -1, 4)
    return keys, -keys, torch.full((5,), state(tokens), dtype=torch.float64)


def known(nodes: list[Node]) -> list[int]:
    return [token for node in nodes for token in node.tokens]


def nodes_of(cache: PrefixCache) -> list[Node]:
    nodes, waiting = [], list(cache._roots.values())
    while waiting:
        nodes.append(waiting.pop())
        waiting += nodes[-1].children.values()
    return nodes


def check(cache: PrefixCache, tokens: list[int]) -> list[int]:
    """How much of `tokens` is found; it is what was added of them."""
    nodes = cache.find(tokens)
    found = known(nodes)
    assert found == tokens[: len(found)]
    if found:
        keys, values, _ = tensors(found)
        assert torch.equal(torch.cat([node.keys for node in nodes], 2), keys)
        assert torch.equal(torch.cat([node.values for node in nodes], 2), values)
    for depth, node in enumerate(nodes):
        if node.hidden is not None:
            assert node.hidden[0] == state(known(nodes[: depth + 1]))
    return found


@given(added=st.lists(SEQUENCES, max_size=12), asked=st.lists(SEQUENCES, max_size=12))
def test_the_longest_known_beginning_is_found(added: list[list[int]], asked: list[list[int]]):
    cache = PrefixCache(CacheBudget(10_000))
    for tokens in added:
        cache.add(tokens, *tensors(tokens))
        assert check(cache, tokens) == tokens
        assert cache.find(tokens)[-1].hidden is not None
    for tokens in asked:
        beginnings = [tokens[:n] for n in range(len(tokens) + 1)]
        longest = max(len(b) for b in beginnings if not b or any(other[: len(b)] == b for other in added))
        assert len(check(cache, tokens)) == longest
    distinct = {tuple(tokens[: n + 1]) for tokens in added for n in range(len(tokens))}
    assert cache.size == len(distinct)


@settings(max_examples=200)
@given(limit=st.integers(1, 40), sequences=st.lists(SEQUENCES, max_size=40))
def test_what_is_forgotten_makes_room_and_harms_nothing(limit: int, sequences: list[list[int]]):
    cache = PrefixCache(CacheBudget(limit))
    for tokens in sequences:
        check(cache, tokens)
        cache.add(tokens, *tensors(tokens))
        nodes = nodes_of(cache)
        assert cache.size == sum(len(node.tokens) for node in nodes)
        assert cache.size <= max(limit, len(tokens))
        for node in nodes:
            siblings = node.parent.children if node.parent else cache._roots
            assert siblings[node.tokens[0]] is node


@given(added=st.lists(SEQUENCES, min_size=1, max_size=20))
def test_no_more_is_in_memory_than_is_known(added: list[list[int]]):
    cache = PrefixCache(CacheBudget(30))
    for tokens in added:
        cache.find(tokens[: len(tokens) // 2 + 1])
        cache.add(tokens, *tensors(tokens))
    for node in nodes_of(cache):
        for tensor in (node.keys, node.values):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_what_was_used_last_is_kept():
    cache = PrefixCache(CacheBudget(40))
    for first in range(4):
        tokens = [first] * 10
        cache.add(tokens, *tensors(tokens))
    cache.find([0] * 10)
    cache.add([4] * 10, *tensors([4] * 10))
    assert [len(cache.find([first] * 10)) for first in range(5)] == [1, 0, 0, 1, 1]
    cache.clear()
    assert (cache.size, cache.find([4])) == (0, [])


def test_caches_share_a_budget():
    """What any of them used last is kept; one that is no longer there takes no room."""
    budget = CacheBudget(40)
    one, other = PrefixCache(budget), PrefixCache(budget)
    for cache in (one, other):
        for first in range(2):
            tokens = [first] * 10
            cache.add(tokens, *tensors(tokens))
    assert (one.size, other.size, budget.size) == (20, 20, 40)
    one.find([0] * 10)
    other.add([4] * 10, *tensors([4] * 10))
    assert [len(one.find([first] * 10)) for first in range(2)] == [1, 0]
    assert [len(other.find([first] * 10)) for first in (0, 1, 4)] == [0, 1, 1]
    assert (one.size, other.size, budget.size) == (10, 20, 30)
    del cache, other
    assert budget.size == 10


def test_what_is_cleared_leaves_the_memory_at_once():
    cache = PrefixCache(CacheBudget(40))
    for tokens in ([0, 1, 2], [0, 1, 3], [0, 4]):
        cache.add(tokens, *tensors(tokens))
    nodes = [weakref.ref(node) for node in nodes_of(cache)]
    gc.disable()
    try:
        cache.clear()
        assert len(nodes) == 5
        assert [node() for node in nodes] == [None] * 5
    finally:
        gc.enable()
