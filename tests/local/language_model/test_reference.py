"""The pretrained model answers as transformers' own implementation of it does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.local.language_model import NO_LLM, NO_LLM_TESTS

for name in ("torch", "gguf", "tokenizers", "llguidance"):
    pytest.importorskip(name, reason=NO_LLM)
pytest.importorskip("transformers", reason=NO_LLM_TESTS)

import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from babyai_kit.environment import TASKS, make_env
from babyai_kit.local.language_model.embedding import embed
from babyai_kit.local.language_model.generator import Generator
from babyai_kit.local.language_model.gguf_file import GgufFile
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.packing import Example
from babyai_kit.local.language_model.tokenizer import ChatTokenizer, Messages
from babyai_kit.local.language_model.training import Recipe, train
from tests.support.generations import answered, generation
from tests.support.messages import RULES, user_text
from tests.support.reference_llama import END, reference_llama

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NEW_TOKENS = 8


@torch.no_grad()
def reference_answers(model: Llama, prompts: list[list[int]], new_tokens: int) -> list[list[int]]:
    longest = max(map(len, prompts))
    rows = [[END] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    output = reference_llama(model.shape, model.state_dict()).generate(
        torch.tensor(rows), attention_mask=torch.tensor(mask), max_new_tokens=new_tokens, do_sample=False
    )
    answers = output[:, longest:].tolist()
    return [answer[: answer.index(END)] if END in answer else answer for answer in answers]


def chats(count: int) -> list[Messages]:
    """Of the game, some of which begin alike, and others; short, since each is computed several times."""
    others = ["Hi", "What is the capital of France?", "Write a poem about 12 keys.", "2 + 40 =", "Grüße 🙂"]
    question = user_text("go to the red ball", "a red ball 12 steps forward", [("a wall", "turn left")])
    found: list[Messages] = [[("user", text)] for text in others]
    found.append(
        [("system", RULES), ("user", question), ("assistant", "{}"), ("user", "a wall 3 steps left")]
    )
    for seed in range(count - len(found)):
        env = make_env(TASKS[seed % 3])
        observation, _ = env.reset(seed=seed // 3)
        found.append((("system", observation["mission"]), ("user", observation["text"])))
    return found


@pytest.fixture(scope="module")
def tokenizer(base: GgufFile) -> ChatTokenizer:
    return ChatTokenizer(base.tokenizer)


@pytest.fixture(scope="module")
def theirs(base: GgufFile) -> PreTrainedTokenizerFast:
    """transformers' tokenizer for these chats. What it makes of a GGUF does not take digits apart, as the
    model's card has it; everything else is its own."""
    return transformers.AutoTokenizer.from_pretrained(base.path.parent, gguf_file=base.path.name)


def test_a_prompt_is_the_chat_templates_to_the_token(
    tokenizer: ChatTokenizer, theirs: PreTrainedTokenizerFast
):
    for chat in chats(30):
        turns = [{"role": role, "content": text} for role, text in chat]
        text = theirs.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert tokenizer.render(chat) == text
        if not any(len(word) > 1 for word in text.split() if word.isdigit()):
            assert tokenizer.encode_chat(chat) == theirs(text, add_special_tokens=False)["input_ids"]


@settings(max_examples=200)
@given(text=st.text(st.characters(exclude_categories=["Cs", "N"])))
def test_tokens_are_theirs(tokenizer: ChatTokenizer, theirs: PreTrainedTokenizerFast, text: str):
    assert tokenizer.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]


@pytest.fixture(scope="module")
def prompts(tokenizer: ChatTokenizer) -> list[list[int]]:
    return [tokenizer.encode_chat(chat) for chat in chats(50)]


def tuned(real: Library, prompts: list[list[int]]) -> Llama:
    """After some updates of all layers."""
    model = real.copy(None)
    answers = real.tokenizer.encode('{"action": "turn left"}<|im_end|>')
    examples = [Example((*prompt, *answers), len(prompt)) for prompt in prompts[5:17]]
    for _ in train(model, examples, Recipe(epochs=2, frozen_layers=20, batch_examples=2, learning_rate=1e-3)):
        pass
    return model.eval()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("count", "is_tuned"),
    [
        pytest.param(10, False, id="untuned"),
        pytest.param(50, False, id="all untuned", marks=pytest.mark.long),
        pytest.param(15, True, id="tuned", marks=pytest.mark.long),
    ],
)
def test_greedy_answers_are_theirs(real: Library, prompts: list[list[int]], count: int, is_tuned: bool):
    model = tuned(real, prompts) if is_tuned else real.open(None)
    prompts = prompts[:count]
    expected = reference_answers(model, prompts, NEW_TOKENS)
    generator = Generator(model)
    for cached in (False, True):
        ended = answered(generator, [generation(p, max_tokens=NEW_TOKENS) for p in prompts])
        assert [one.answer for one in ended] == expected
        assert all(one.cached_tokens == len(one.prompt) for one in ended) or not cached
    if is_tuned:
        assert any("turn left" in real.tokenizer.decode(answer) for answer in expected)


def test_log_probabilities_are_theirs(real: Library, prompts: list[list[int]]):
    model = real.open(None)
    reference, generator = reference_llama(model.shape, model.state_dict()), Generator(model)
    options = {"temperature": 1.0, "top_logprobs": 5, "max_tokens": 6}
    for one in answered(generator, [generation(p, seed=n, **options) for n, p in enumerate(prompts[:8])]):
        with torch.no_grad():
            logits = reference(torch.tensor([[*one.prompt, *one.answer]])).logits[0]
        expected = logits.log_softmax(-1)[len(one.prompt) - 1 :]
        for score, row in zip(one.scores, expected, strict=False):
            assert score.logprob == pytest.approx(float(row[score.token]), abs=1e-3)
            assert [value for _, value in score.top] == pytest.approx(row.topk(5).values.tolist(), abs=1e-3)


def test_texts_of_a_kind_have_nearer_vectors(real: Library):
    model, encode = real.open(None), real.tokenizer.encode
    red, crimson, money = (
        embed(model, encode(text))
        for text in (
            "The agent walks to the red ball in the corner of the room.",
            "A robot goes to a crimson ball that lies in a corner of the room.",
            "Interest rates rose by half a percent, and shares of banks fell.",
        )
    )
    assert math.isclose(sum(x * x for x in red), 1, abs_tol=1e-5)
    near, far = (sum(x * y for x, y in zip(red, other, strict=True)) for other in (crimson, money))
    assert near > far
