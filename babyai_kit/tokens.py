"""Counts tokens as OpenAI's gpt-4o family does (encoding o200k_base).

The encoding comes from bpe-openai, which ships it: nothing is downloaded.

Chat framing follows OpenAI's published recipe ("How to count tokens with tiktoken"): 3 tokens for each
message in addition to role, content and name, and 3 that prime the answer. How tools and answer schemas are
billed is not published; they count as their compact JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import bpe_openai

PER_MESSAGE = 3
PRIMING = 3
_CACHED_LENGTH = 20_000  # characters; longer texts are not cached, to bound the memory


@lru_cache(maxsize=1)
def _encoding() -> bpe_openai.Encoding:
    import bpe_openai  # reads every vocabulary it ships, which is slower than the command line itself

    return bpe_openai.get_encoding("o200k_base")


def count_text(text: str) -> int:
    """Number of tokens in a text. Special tokens in it count as plain text."""
    return _count_cached(text) if len(text) < _CACHED_LENGTH else _count(text)


def _count(text: str) -> int:
    return len(_encoding().encode_ordinary(text))


# For the long texts that repeat (instructions, schemas).
_count_cached = lru_cache(maxsize=1024)(_count)


def count_prompt(messages: Sequence[tuple[str, str]], extra: Sequence[Any] = ()) -> int:
    """Number of tokens in a chat prompt: (role, text) messages and `extra` JSON values (tools, schemas)."""
    total = PRIMING + sum(PER_MESSAGE + count_text(role) + count_text(text) for role, text in messages)
    return total + sum(count_text(json.dumps(value, separators=(",", ":"))) for value in extra)


def truncate(text: str, limit: int | None) -> tuple[str, int, bool]:
    """Cut a text after `limit` tokens (None: no limit).

    Returns the text, its number of tokens, and whether it was truncated. A character cut in its middle
    becomes U+FFFD.
    """
    # A token is at least one byte, so a text this short cannot exceed the limit.
    if limit is None or len(text.encode()) <= limit:
        return text, count_text(text), False
    tokens = _encoding().encode_ordinary(text)
    if len(tokens) <= limit:
        return text, len(tokens), False
    return _encoding().decode(tokens[:limit]), limit, True
