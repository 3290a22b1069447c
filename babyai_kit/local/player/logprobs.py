"""Log probabilities of an answer's tokens, and how a chat completion tells them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MIN_LOGPROB = -9999.0
"""Stands for anything smaller, as at OpenAI: JSON has no infinity."""
MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer and the natural logarithm of its probability, at most 0."""

    token: bytes
    """May be a part of a character."""
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()
    """The likeliest tokens in its place and their log probabilities, likeliest first."""


def cut_after(tokens: Sequence[TokenLogprob], text: str) -> tuple[TokenLogprob, ...]:
    """The first of `tokens`, as many as lie within `text`, with which they begin."""
    return tuple(token for _, (token,) in Pieces().add(tokens, text))


class Pieces:
    """A text that grows, token by token."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tokens = self._end = 0

    def add(
        self, tokens: Sequence[TokenLogprob], text: str
    ) -> Iterator[tuple[str, tuple[TokenLogprob, ...]]]:
        """What came since the last call, of the `tokens` of a `text` that goes no further than they do: a
        character with the last of its tokens. Tokens that go on beyond the text, or end within a character,
        wait."""
        end, waiting = self._end, list[tuple[int, TokenLogprob]]()
        state = self._decoder.getstate()
        for token in tokens[self._tokens :]:
            end += len(self._decoder.decode(token.token))
            waiting.append((end, token))
            if end > len(text):
                break
            if not self._decoder.getstate()[0]:
                state = self._decoder.getstate()
                yield from self._take(waiting, text)
                waiting = []
        self._decoder.setstate(state)

    def finish(
        self, tokens: Sequence[TokenLogprob], text: str
    ) -> Iterator[tuple[str, tuple[TokenLogprob, ...]]]:
        """All that is left of the `tokens` and the `text`, which is beyond the last of them perhaps."""
        end, waiting = self._end, list[tuple[int, TokenLogprob]]()
        for token in tokens[self._tokens :]:
            end += len(self._decoder.decode(token.token))
            waiting.append((end, token))
        yield from self._take(waiting, text)
        if text[end:]:
            yield text[end:], ()

    def _take(
        self, tokens: Sequence[tuple[int, TokenLogprob]], text: str
    ) -> Iterator[tuple[str, tuple[TokenLogprob, ...]]]:
        for end, token in tokens:
            yield text[self._end : end], (token,)
            self._end, self._tokens = end, self._tokens + 1


def as_json(tokens: Sequence[TokenLogprob], top: int) -> dict[str, Any]:
    """OpenAI's form, with the `top` likeliest tokens of each place."""
    rows = [
        {**_row(token.token, token.logprob), "top_logprobs": [_row(*entry) for entry in token.top[:top]]}
        for token in tokens
    ]
    return {"content": rows, "refusal": None}


def _row(token: bytes, logprob: float) -> dict[str, Any]:
    try:
        text = token.decode()
    except UnicodeDecodeError:
        text = "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)
    return {"token": text, "logprob": max(MIN_LOGPROB, logprob), "bytes": list(token)}
