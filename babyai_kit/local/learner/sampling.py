"""Answers of a model, many at once: one pass over the prompts, then a token per pass from the cache.

Each row draws from a generator of its own, so its answer does not depend on the rest of its batch (except in
the last digits of a sum).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from babyai_kit.local.learner.model import Cache, Transformer
from babyai_kit.local.learner.tokenizer import PAD, TOKEN, TURN

MAX_ANSWER_TOKENS = 4
"""A sound answer has two."""


@dataclass(frozen=True)
class GenerationRequest:
    """A prompt (tokens) and how to answer it. Temperature 0 takes the likeliest token."""

    prompt: Sequence[int]
    rng: random.Random
    temperature: float = 1.0
    max_tokens: int = MAX_ANSWER_TOKENS


@torch.inference_mode()
def generate(model: Transformer, requests: Sequence[GenerationRequest]) -> list[list[int]]:
    """The answers' tokens in the order of `requests`; each ends with `<turn>`, or where its limit cut it off.

    A prompt has from 1 to `context` - MAX_ANSWER_TOKENS tokens.
    """
    device = model.tokens.weight.device
    lengths = torch.tensor([len(request.prompt) for request in requests], device=device)
    longest = int(lengths.max())
    padded = np.full((len(requests), longest), TOKEN[PAD])
    for row, request in enumerate(requests):
        padded[row, : len(request.prompt)] = request.prompt
    tokens = torch.from_numpy(padded).to(device)
    cache = Cache(model.shape, len(requests), longest + MAX_ANSWER_TOKENS, model.tokens.weight)
    hidden = model.hidden(tokens, cache)
    hidden = hidden[torch.arange(len(requests), device=device), lengths - 1]
    answers: list[list[int]] = [[] for _ in requests]
    for position in range(MAX_ANSWER_TOKENS):
        chosen = _extend(answers, model.logits(hidden), requests)
        if not any(map(_is_open, answers, requests)):
            break
        next_tokens = torch.tensor(chosen, device=device)[:, None]
        hidden = model.hidden(next_tokens, cache, lengths + position)[:, 0]
    return answers


def _is_open(answer: list[int], request: GenerationRequest) -> bool:
    limit = min(request.max_tokens, MAX_ANSWER_TOKENS)
    return len(answer) < limit and (not answer or answer[-1] != TOKEN[TURN])


def _extend(answers: list[list[int]], logits: Tensor, requests: Sequence[GenerationRequest]) -> list[int]:
    """Add a token to each answer that is not complete; return every row's token."""
    scores = logits.double().cpu().numpy()
    scores[:, TOKEN[PAD]] = -np.inf
    chosen = []
    for row, request, answer in zip(scores, requests, answers, strict=True):
        token = TOKEN[TURN]
        if _is_open(answer, request):
            token = _sample(row, request)
            answer.append(token)
        chosen.append(token)
    return chosen


def _sample(scores: np.ndarray, request: GenerationRequest) -> int:
    if request.temperature <= 0:
        return int(scores.argmax())
    weights = np.exp((scores - scores.max()) / request.temperature).cumsum()
    return int(np.searchsorted(weights, request.rng.random() * weights[-1], side="right"))
