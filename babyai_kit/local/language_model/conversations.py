"""Conversations of a training file as tokens, with the answers that are learned.

Knows the tokenizer and the server's examples; nothing of models or the game.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from babyai_kit.local.language_model.packing import Example
from babyai_kit.local.language_model.tokenizer import ChatTokenizer
from babyai_kit.local.player import training_file


def tokenized(
    conversations: Iterable[training_file.Example], tokenizer: ChatTokenizer, *, max_tokens: int
) -> Iterator[Example]:
    """Each of them up to its last answer that is learned, without those of more than `max_tokens` tokens."""
    for conversation in conversations:
        example = _tokenized(conversation, tokenizer)
        if len(example.tokens) <= max_tokens:
            yield example


def _tokenized(conversation: training_file.Example, tokenizer: ChatTokenizer) -> Example:
    messages = conversation.messages
    end = tokenizer.end_text
    tokens: list[int] = []
    spans: list[tuple[int, int]] = []
    written = 0
    for number, learned in enumerate(conversation.learned):
        if not learned:
            continue
        # Found from its end: the template may begin the text with a system message of its own.
        text = tokenizer.render(messages[: number + 1], answer_next=False)
        stop = text.rindex(end) + len(end)
        start = stop - len(end) - len(messages[number][1])
        # An answer's tokens are those of its own text, as when it is generated.
        tokens += tokenizer.encode(text[written:start])
        first = len(tokens)
        tokens += tokenizer.encode(text[start:stop])
        spans.append((first, len(tokens)))
        written = stop
    return Example(tuple(tokens), spans[-1][0], tuple(spans[:-1]))
