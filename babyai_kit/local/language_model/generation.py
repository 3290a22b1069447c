"""One answer of a model, token by token, from the prompt to its end.

Knows tokens, and what may and what must follow; how hidden states are computed is `generator`'s.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from babyai_kit.local.language_model.constraints import Constraint, SchemaError
from babyai_kit.local.language_model.sampling import sample

Logits = Callable[[Tensor, "Tensor | None"], Tensor]
"""From a hidden state, of shape (width,), to the logits of the tokens given by id, or of all."""


@dataclass(frozen=True)
class TokenScore:
    """A token of an answer and its log probability: among all tokens, at temperature 1."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens in its place, likeliest first."""


@dataclass(eq=False)
class Generation:
    """An answer that grows. `tokens` are prompt and answer so far.

    Raises SchemaError if the constraint is too complex.
    """

    prompt: Sequence[int]
    max_tokens: int
    """At least 1."""
    rng: random.Random
    ends: frozenset[int]
    """Tokens that end an answer and are no part of it."""
    temperature: float = 1.0
    top_p: float = 1.0
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    """How many likeliest tokens are scored beside each of the answer's; None: no scores are wanted."""
    is_stopped: Callable[[Sequence[int]], bool] | None = None
    """Tells of an answer without constraint whether its text contains what ends it."""
    answer: list[int] = field(default_factory=list)
    scores: list[TokenScore] = field(default_factory=list)
    ended: bool = False
    truncated: bool = False
    """True if `max_tokens` ended it."""
    cached_tokens: int | None = None
    """Tokens of the prompt that were known; None before it was looked up."""
    error: SchemaError | None = None
    """Why it ended without an answer."""

    def __post_init__(self) -> None:
        self.tokens = [*self.prompt]
        self._forced = self._follow(()) if self.constraint else []
        """What must come next. It is not computed, unless each token is to be scored."""
        if self.top_logprobs is None:
            self._extend()

    def go_on(self, hidden: Tensor, logits: Logits) -> None:
        """Add what follows on the `hidden` state of the last token."""
        try:
            self._go_on(hidden, logits)
        except SchemaError as error:
            self.ended, self.error = True, error

    def _go_on(self, hidden: Tensor, logits: Logits) -> None:
        if not self._forced:
            token = self._sampled(hidden, logits)
            if token in self.ends:
                self.ended = True
                return
            self._forced = [token, *(self._follow([token]) if self.constraint else [])]
        if self.top_logprobs is not None:
            self.scores.append(_score(logits(hidden, None), self._forced[0], self.top_logprobs))
        self._extend()

    def _sampled(self, hidden: Tensor, logits: Logits) -> int:
        def sampled(values: Tensor) -> int:
            return sample(values, temperature=self.temperature, top_p=self.top_p, rng=self.rng)

        if self.constraint is None:
            return sampled(logits(hidden, None))
        allowed = torch.from_numpy(self.constraint.allowed()).to(hidden.device)
        return int(allowed[sampled(logits(hidden, allowed))])

    def _follow(self, tokens: Sequence[int]) -> list[int]:
        """What must come after `tokens`."""
        assert self.constraint is not None
        self.constraint.take(tokens)
        forced = self.constraint.forced()
        self.constraint.take(forced)
        return forced

    def _extend(self) -> None:
        """Move what must come to the answer: one token, if each is scored, or all."""
        count = len(self._forced) if self.top_logprobs is None else 1
        added, self._forced = self._forced[:count], self._forced[count:]
        room = self.max_tokens - len(self.answer)
        self.answer += added[:room]
        self.tokens += added[:room]
        complete = self.constraint is not None and self.constraint.complete and not self._forced
        if complete and len(added) <= room:
            self.ended = True
        elif len(self.answer) == self.max_tokens:
            self.ended = self.truncated = True
        elif self.is_stopped and self.is_stopped(self.answer):
            self.ended = True


def _score(logits: Tensor, token: int, top: int) -> TokenScore:
    logprobs = logits.float().log_softmax(0)
    values, ids = logprobs.topk(top)
    likeliest = zip(ids.tolist(), values.tolist(), strict=True)
    return TokenScore(token, float(logprobs[token]), tuple(likeliest))
