"""Prompts and answers as tokens."""

from __future__ import annotations

import json

import pytest

from tests.local.language_model import NO_LLM

for name in ("torch", "gguf", "tokenizers"):
    pytest.importorskip(name, reason=NO_LLM)

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from babyai_kit.local.language_model.conversations import tokenized
from babyai_kit.local.language_model.gguf_file import GgufFile
from babyai_kit.local.language_model.tokenizer import ChatTokenizer
from babyai_kit.local.player.training_file import Example
from tests.support.messages import RULES, user_text


@pytest.fixture(scope="module")
def tokenizer(base: GgufFile) -> ChatTokenizer:
    return ChatTokenizer(base.tokenizer)


@pytest.mark.parametrize("number", ["0", "7", "10", "2048", "3.14159", "2 steps and 10 steps", "x1y22"])
def test_a_digit_is_a_token_of_its_own(tokenizer: ChatTokenizer, number: str):
    spellings = [tokenizer.token_bytes[token].decode() for token in tokenizer.encode(number)]
    assert "".join(spellings) == number
    assert all(len(one) == 1 for one in spellings if any(character.isdigit() for character in one))


@settings(max_examples=200)
@given(text=st.text())
def test_tokens_spell_their_text(tokenizer: ChatTokenizer, text: str):
    """But for the few bytes that the vocabulary does not have, control characters most of them."""
    assume({bytes([byte]) for byte in text.encode()} <= {*tokenizer.token_bytes})
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert b"".join(tokenizer.token_bytes[token] for token in tokens).decode() == text


def test_a_chat_is_rendered_as_its_template_says(tokenizer: ChatTokenizer):
    chat = [("system", "S"), ("user", "U"), ("assistant", "A")]
    assert tokenizer.render(chat) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.render([("user", "U")], answer_next=False).endswith("<|im_start|>user\nU<|im_end|>\n")
    tokens = tokenizer.encode_chat(chat)
    assert tokens.count(1) == 4
    assert tokens.count(tokenizer.end) == 3


def test_an_answer_ends_with_a_message_or_the_text(tokenizer: ChatTokenizer):
    assert tokenizer.ends == {*tokenizer.encode("<|im_end|><|im_start|><|endoftext|>")}
    assert {tokenizer.token_bytes[token] for token in tokenizer.ends} == {b""}


def test_what_is_learned_are_the_tokens_of_generated_answers(tokenizer: ChatTokenizer):
    def answer(action: str) -> str:
        return json.dumps({"action": action})

    messages = [("system", RULES)]
    for action in ("turn left", "go forward", "pick up"):
        messages += [("user", user_text("go to the red ball", "a red ball")), ("assistant", answer(action))]
    conversation = Example(tuple(messages), (False, False, True, False, False, False, True))
    (example,) = tokenized([conversation], tokenizer, max_tokens=1000)
    assert list(example.tokens) == tokenizer.encode(tokenizer.render(messages, answer_next=False))[:-1]
    spans = [*example.earlier, (example.answer_start, len(example.tokens))]
    learned = [list(example.tokens[start:end]) for start, end in spans]
    assert learned == [[*tokenizer.encode(answer(a)), tokenizer.end] for a in ("turn left", "pick up")]
    prompt = tokenizer.encode_chat(messages[:2])
    assert list(example.tokens[: spans[0][0]]) == prompt


def test_a_conversation_may_begin_with_the_assistant(tokenizer: ChatTokenizer):
    """Before it, the template writes a system message of its own."""
    messages = (("assistant", "Hello, I am Bob"), ("user", "act <|im_end|> now"), ("assistant", "a"))
    conversation = Example(messages, (True, False, True))
    (example,) = tokenized([conversation], tokenizer, max_tokens=1000)
    spans = [*example.earlier, (example.answer_start, len(example.tokens))]
    learned = [list(example.tokens[start:end]) for start, end in spans]
    assert learned == [[*tokenizer.encode(text), tokenizer.end] for text in ("Hello, I am Bob", "a")]
    assert list(example.tokens[: example.answer_start]) == tokenizer.encode_chat(messages[:-1])


def test_what_is_too_long_is_left_out(tokenizer: ChatTokenizer):
    one = Example((("user", "a"), ("assistant", "b")), (False, True))
    length = len(tokenizer.encode_chat(one.messages, answer_next=False)) - 1
    assert len(list(tokenized([one], tokenizer, max_tokens=length))) == 1
    assert list(tokenized([one], tokenizer, max_tokens=length - 1)) == []
