"""The pretrained model answers as transformers' own implementation of it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
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
from torch import Tensor

from babyai_kit.environment import ACTIONS, TASKS, make_env
from babyai_kit.local.language_model.embedding import embed
from babyai_kit.local.language_model.generation import Generation
from babyai_kit.local.language_model.generator import Generator
from babyai_kit.local.language_model.gguf_file import GgufFile
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.packing import Example
from babyai_kit.local.language_model.tokenizer import ChatTokenizer, Messages
from babyai_kit.local.language_model.training import Recipe, train
from tests.support.generations import answered, generation
from tests.support.messages import RULES, user_text
from tests.support.reference_llama import END, reference_llama

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

NEW_TOKENS = 8
NEAR_TIE = 0.4
"""How far, in nats, their token may be above the kit's in bfloat16, in which transformers writes logits of 16
to 32 in steps of 0.125. Measured: 0.25."""


@torch.no_grad()
def reference_logits(reference: LlamaForCausalLM, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
    """What follows on the prompt, and on each token of the answer but the last."""
    tokens = torch.tensor([[*prompt, *answer[:-1]]])
    return reference(tokens, logits_to_keep=len(answer)).logits[0].float()


@torch.no_grad()
def reference_answers(
    reference: LlamaForCausalLM, prompts: Sequence[Sequence[int]]
) -> list[tuple[list[int], Tensor]]:
    """What transformers generates greedily: tokens with END, and the log-probabilities in their places."""
    longest = max(map(len, prompts))
    output = reference.generate(
        torch.tensor([[END] * (longest - len(prompt)) + [*prompt] for prompt in prompts]),
        attention_mask=torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts]),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    logprobs = torch.stack(output.logits, 1).float().log_softmax(-1)
    answers = output.sequences[:, longest:].tolist()
    cut = [answer[: answer.index(END) + 1] if END in answer else answer for answer in answers]
    return list(zip(cut, logprobs, strict=True))


def with_end(one: Generation) -> list[int]:
    return [*one.answer, *([] if one.truncated else [END])]


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


@pytest.fixture(scope="module")
def tuned(
    served: Library, prompts: list[list[int]], tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, Path | None]:
    """Folders of models: of one that was fine-tuned and stored (True), and none for the base model."""
    model = served.copy(None)
    examples = [
        Example((*prompt, *served.tokenizer.encode(f'{{"action": "{action}"}}<|im_end|>')), len(prompt))
        for prompt, action in zip(prompts[5:11], ACTIONS, strict=True)
    ]
    for _ in train(model, examples, Recipe(epochs=4, frozen_layers=24, batch_examples=2, learning_rate=1e-3)):
        pass
    folder = tmp_path_factory.mktemp("tuned")
    served.save(model, folder)
    return {False: None, True: folder}


@pytest.fixture(params=["float32", "served"])
def library(request: pytest.FixtureRequest, real: Library, served: Library) -> Library:
    if request.param == "float32":
        return real
    if served.dtype == torch.float32:
        pytest.skip("this CPU multiplies float32 faster, so models are served in it, too")
    return served


is_tuned = pytest.mark.parametrize("is_tuned", [False, True], ids=["untuned", "tuned"])


@pytest.mark.e2e
@is_tuned
def test_each_token_is_the_likeliest_by_theirs(
    library: Library, prompts: list[list[int]], tuned: dict[bool, Path | None], is_tuned: bool
):
    """And, at full precision, has the log-probability of theirs, as have the likeliest five."""
    exact = library.dtype == torch.float32
    model, some = library.open(tuned[is_tuned]), prompts[: 5 if exact else 12]
    scores = {"top_logprobs": 5} if exact else {}
    ended = answered(Generator(model), [generation(p, max_tokens=NEW_TOKENS, **scores) for p in some])
    reference = reference_llama(model.shape, model.state_dict())
    below: list[float] = []
    for one in ended:
        tokens = with_end(one)
        expected = reference_logits(reference, one.prompt, tokens).log_softmax(-1)
        below += (expected.amax(-1) - expected.gather(1, torch.tensor(tokens)[:, None])[:, 0]).tolist()
        for score, row in zip(one.scores, expected, strict=False):
            assert score.logprob == pytest.approx(float(row[score.token]), abs=1e-3)
            assert [value for _, value in score.top] == pytest.approx(row.topk(5).values.tolist(), abs=1e-3)
    assert max(below) <= (0 if exact else NEAR_TIE)
    assert sum(b > 0 for b in below) < len(below) / 20
    assert is_tuned is any('{"action": "' in library.tokenizer.decode(one.answer) for one in ended)


@pytest.mark.e2e
@pytest.mark.long
@is_tuned
def test_greedy_answers_to_50_prompts_are_theirs(
    library: Library, prompts: list[list[int]], tuned: dict[bool, Path | None], is_tuned: bool
):
    model = library.open(tuned[is_tuned])
    generator = Generator(model)
    expected = reference_answers(reference_llama(model.shape, model.state_dict()), prompts)
    for cached in (False, True):
        ended = answered(generator, [generation(p, max_tokens=NEW_TOKENS) for p in prompts])
        assert all(one.cached_tokens == len(one.prompt) for one in ended) or not cached
        for one, (theirs, logprobs) in zip(ended, expected, strict=True):
            ours = with_end(one)
            if ours == theirs:
                continue
            assert library.dtype != torch.float32, (ours, theirs)
            place = next(n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
            assert logprobs[place].max() - logprobs[place][ours[place]] <= NEAR_TIE


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
