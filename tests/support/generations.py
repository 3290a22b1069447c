"""Answers of a language model's generator, and what they should be."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch

from babyai_kit.local.language_model.generation import Generation
from babyai_kit.local.language_model.generator import Generator
from babyai_kit.local.language_model.llama import Llama
from tests.support.tiny_llama import logits_of


def generation(prompt: Sequence[int], *, seed: int = 0, max_tokens: int = 12, **options) -> Generation:
    fields = {"ends": frozenset([2]), "temperature": 0.0, **options}
    return Generation(prompt, max_tokens, random.Random(seed), **fields)


def answered(generator: Generator, generations: Iterable[Generation]) -> list[Generation]:
    """All of them, ended, together."""
    generations = list(generations)
    for one in generations:
        generator.add(one)
    while generator.busy:
        generator.step()
    assert all(one.ended for one in generations)
    return generations


@torch.no_grad()
def greedy(model: Llama, prompt: Sequence[int], *, max_tokens: int = 12, end: int = 2) -> list[int]:
    """The likeliest answer, each token from the whole text anew."""
    tokens = list(prompt)
    for _ in range(max_tokens):
        token = int(logits_of(model, tokens, last=1)[-1].argmax())
        if token == end:
            break
        tokens.append(token)
    return tokens[len(prompt) :]
