"""Answers of a model, many at once: one pass over the prompts, then a token a pass from the cache.

Knows tokens and probabilities; nothing of messages, servers or episodes. Each row draws from a generator of
its own, so what shares its batch does not matter (but for the last digits of a sum).
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

LONGEST_ANSWER = 4
"""Tokens; a sound answer has two."""


@dataclass(frozen=True)
class Ask:
    """One prompt (tokens) and how to answer it. Temperature 0 takes the likeliest token."""

    prompt: Sequence[int]
    draw: random.Random
    temperature: float = 1.0
    limit: int = LONGEST_ANSWER


@torch.inference_mode()
def generate(model: Transformer, asks: Sequence[Ask]) -> list[list[int]]:
    """The answers' tokens in the order of `asks`; each ends with `<turn>`, or where its limit cut it off.

    A prompt may have up to `context` - LONGEST_ANSWER tokens, and at least one.
    """
    device = model.tokens.weight.device
    lengths = torch.tensor([len(ask.prompt) for ask in asks], device=device)
    longest = int(lengths.max())
    padded = np.full((len(asks), longest), TOKEN[PAD])
    for row, ask in enumerate(asks):
        padded[row, : len(ask.prompt)] = ask.prompt
    tokens = torch.from_numpy(padded).to(device)
    cache = Cache(model.shape, len(asks), longest + LONGEST_ANSWER, model.tokens.weight)
    hidden = model.hidden(tokens, cache)
    hidden = hidden[torch.arange(len(asks), device=device), lengths - 1]
    answers: list[list[int]] = [[] for _ in asks]
    for place in range(LONGEST_ANSWER):
        chosen = _choose(model.logits(hidden), asks, answers)
        if not any(map(_open, answers, asks)):
            break
        hidden = model.hidden(torch.tensor(chosen, device=device)[:, None], cache, lengths + place)[:, 0]
    return answers


def _open(answer: list[int], ask: Ask) -> bool:
    return len(answer) < min(ask.limit, LONGEST_ANSWER) and (not answer or answer[-1] != TOKEN[TURN])


def _choose(logits: Tensor, asks: Sequence[Ask], answers: list[list[int]]) -> list[int]:
    """Add a token to each answer that is not complete; return every row's token."""
    scores = logits.double().cpu().numpy()
    scores[:, TOKEN[PAD]] = -np.inf
    chosen = []
    for row, ask, answer in zip(scores, asks, answers, strict=True):
        token = TOKEN[TURN]
        if _open(answer, ask):
            token = _sample(row, ask)
            answer.append(token)
        chosen.append(token)
    return chosen


def _sample(scores: np.ndarray, ask: Ask) -> int:
    if ask.temperature <= 0:
        return int(scores.argmax())
    weights = np.exp((scores - scores.max()) / ask.temperature).cumsum()
    return int(np.searchsorted(weights, ask.draw.random() * weights[-1], side="right"))
