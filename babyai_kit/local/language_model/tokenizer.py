"""From chat messages to tokens and from tokens to text, exactly as the model was trained on them.

Knows the model's vocabulary and its chat template, which both come with the weights; nothing of the game.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import jinja2.sandbox
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE


@dataclass(frozen=True)
class Vocabulary:
    """What a file of weights says about its tokens."""

    tokens: tuple[str, ...]
    """By id, in GPT-2's spelling of bytes."""
    merges: tuple[str, ...]
    """Byte-pair merges, first the one that goes first: "left right"."""
    special: tuple[str, ...]
    """Tokens that stand for no text, such as the end of a message."""
    end: str
    """Ends a message."""
    chat_template: str
    """Jinja, over `messages` and `add_generation_prompt`."""


class ChatTokenizer:
    """Tokens of chats. Safe to use from several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        ids = {token: number for number, token in enumerate(vocabulary.tokens)}
        self.tokenizer = Tokenizer(BPE(ids, [tuple(merge.split(" ")) for merge in vocabulary.merges]))
        # As the model was trained: a digit is a token of its own.
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        self.tokenizer.decoder = decoders.ByteLevel()
        self.tokenizer.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in vocabulary.special]
        )
        self.end: int = ids[vocabulary.end]
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(vocabulary.chat_template)

    def render(self, messages: Iterable[tuple[str, str]], *, answer_next: bool = True) -> str:
        """The chat as one text. `messages`: (role, text). `answer_next`: the assistant's message begins."""
        chat = [{"role": role, "content": text} for role, text in messages]
        return self._template.render(messages=chat, add_generation_prompt=answer_next)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_chat(self, messages: Iterable[tuple[str, str]], *, answer_next: bool = True) -> list[int]:
        return self.encode(self.render(messages, answer_next=answer_next))

    def decode(self, tokens: Sequence[int]) -> str:
        """Bytes that form no character, such as half of one, become U+FFFD."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True)

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """What each token stands for, by id."""
        table = {char: byte for byte, char in _byte_spelling().items()}
        special = set(self._vocabulary.special)
        return tuple(
            token.encode() if token in special else bytes(table[char] for char in token)
            for token in self._vocabulary.tokens
        )


def _byte_spelling() -> dict[int, str]:
    """GPT-2's characters for bytes: printable ones stand for themselves, the others are moved up."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {byte: chr(256 + n) for n, byte in enumerate(moved)}
