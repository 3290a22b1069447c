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
    end, size = 0, len(text.encode())
    for number, token in enumerate(tokens):
        end += len(token.token)
        if end > size:
            return tuple(tokens[:number])
    return tuple(tokens)


def pieces(tokens: Sequence[TokenLogprob], text: str) -> Iterator[tuple[str, tuple[TokenLogprob, ...]]]:
    """`text` token by token: a character with the last of its tokens, text beyond all tokens at the end."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    start = 0
    for token in tokens:
        end = start + len(decoder.decode(token.token))
        yield text[start:end], (token,)
        start = end
    if text[start:]:
        yield text[start:], ()


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
