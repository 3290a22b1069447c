"""The distribution that tokens are drawn from."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from tests.local.language_model import NO_LLM

pytest.importorskip("torch", reason=NO_LLM)

import torch
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.local.language_model.sampling import sample

LOGITS = torch.tensor([0.0, math.log(4), math.log(3), math.log(2)])  # shares .1, .4, .3, .2
DRAWS = 4000


def drawn(temperature: float = 1.0, top_p: float = 1.0) -> dict[int, float]:
    rng = random.Random(1)
    counts = Counter(sample(LOGITS, temperature=temperature, top_p=top_p, rng=rng) for _ in range(DRAWS))
    return {token: count / DRAWS for token, count in sorted(counts.items())}


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.2}),
        ({"temperature": 0.5}, {0: 1 / 30, 1: 16 / 30, 2: 9 / 30, 3: 4 / 30}),
        ({"top_p": 0.69}, {1: 4 / 7, 2: 3 / 7}),
        ({"top_p": 0.71}, {1: 4 / 9, 2: 3 / 9, 3: 2 / 9}),
        ({"top_p": 0.4 - 1e-6}, {1: 1.0}),
        ({"top_p": 0.0}, {1: 1.0}),
        ({"temperature": 0.0}, {1: 1.0}),
        ({"temperature": 5e-324}, {1: 1.0}),
        ({"temperature": 1e-9, "top_p": 0.5}, {1: 1.0}),
    ],
)
def test_tokens_are_drawn_by_their_shares(options: dict[str, float], shares: dict[int, float]):
    measured = drawn(**options)
    assert measured.keys() == shares.keys()
    assert measured == pytest.approx(shares, abs=0.03)


def test_the_first_of_several_likeliest_is_taken_at_temperature_0():
    logits = torch.tensor([1.0, 2.0, 2.0])
    assert sample(logits, temperature=0, top_p=1, rng=random.Random()) == 1


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=20),
    st.floats(0, 2),
    st.floats(0, 1),
    st.integers(),
)
def test_a_token_is_drawn_whatever_the_numbers(
    logits: list[float], temperature: float, top_p: float, seed: int
):
    token = sample(torch.tensor(logits), temperature=temperature, top_p=top_p, rng=random.Random(seed))
    assert 0 <= token < len(logits)
    if temperature == 0:
        assert logits[token] == max(logits)
