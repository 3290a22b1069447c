"""From chat messages to tokens and from tokens to text, exactly as the model was trained on them.

Knows the model's vocabulary and its chat template, which both come with the weights; nothing of the game.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import gguf
import jinja2.sandbox
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from babyai_kit.local.language_model.gguf_file import TokenizerParts

Messages = Iterable[tuple[str, str]]
"""(role, text) pairs."""


class ChatTokenizer:
    """Tokens of chats. Safe to use from several threads."""

    def __init__(self, parts: TokenizerParts) -> None:
        self._parts = parts
        self.end = parts.eos_id
        """Ends a message."""
        control = zip(parts.tokens, parts.token_types, strict=True)
        self._special = [token for token, kind in control if kind == gguf.TokenType.CONTROL]
        ids = {token: number for number, token in enumerate(parts.tokens)}
        self.tokenizer = Tokenizer(BPE(ids, [_merge(merge) for merge in parts.merges]))
        # As the model was trained: a digit is a token of its own.
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        self.tokenizer.decoder = decoders.ByteLevel()
        self.tokenizer.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in self._special]
        )
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(parts.chat_template)

    def render(self, messages: Messages, *, answer_next: bool = True) -> str:
        """The chat as one text. `answer_next`: the assistant's message begins at its end."""
        chat = [{"role": role, "content": text} for role, text in messages]
        return self._template.render(messages=chat, add_generation_prompt=answer_next)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_chat(self, messages: Messages, *, answer_next: bool = True) -> list[int]:
        return self.encode(self.render(messages, answer_next=answer_next))

    def decode(self, tokens: Sequence[int]) -> str:
        """Without special tokens; bytes that form no character, such as half of one, become U+FFFD."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True)

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer: of a message, and of a text."""
        ids = (self.end, self._parts.bos_id, self._parts.unknown_id)
        return frozenset(token for token in ids if token is not None)

    @property
    def end_text(self) -> str:
        """How the end of a message is written."""
        return self._parts.tokens[self.end]

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """What each token adds to a text, by id; a special one adds nothing."""
        table, special = _bytes_by_character(), set(self._special)
        return tuple(
            b"" if token in special else bytes(map(table.__getitem__, token)) for token in self._parts.tokens
        )


def _merge(merge: str) -> tuple[str, str]:
    left, right = merge.split(" ")
    return left, right


def _bytes_by_character() -> dict[str, int]:
    """GPT-2's spelling of bytes: printable ones stand for themselves, the others are moved up."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {chr(byte): byte for byte in kept} | {chr(256 + n): byte for n, byte in enumerate(moved)}
