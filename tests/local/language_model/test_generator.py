"""Answers do not depend on what else is asked, what is remembered, or what was forgotten."""

from __future__ import annotations

import random

import pytest

from tests.local.language_model import NO_LLM

for name in ("torch", "gguf", "tokenizers", "llguidance"):
    pytest.importorskip(name, reason=NO_LLM)

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babyai_kit.local.language_model.constraints import Constraints
from babyai_kit.local.language_model.generation import Generation
from babyai_kit.local.language_model.generator import KEPT_SINGLY, PIECE, Generator
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.prefix_cache import CacheBudget
from tests.support.generations import answered, generation, greedy
from tests.support.tiny_llama import logits_of, random_llama

MODEL_OF = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
PROMPTS = st.lists(st.lists(st.integers(3, 5), min_size=1, max_size=60), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def model() -> Llama:
    return random_llama(1).eval()


def prompts_of(rng: random.Random, count: int, *, shared: int = 40) -> list[list[int]]:
    """Texts that begin alike and part at various places."""
    beginning = [rng.randrange(100, 140) for _ in range(shared)]
    return [
        beginning[: rng.randrange(1, shared)] + [rng.randrange(100, 140) for _ in range(rng.randrange(1, 40))]
        for _ in range(count)
    ]


@pytest.mark.parametrize("cached_tokens", [0, 60, 40_000])
def test_greedy_answers_are_those_of_the_whole_text(model: Llama, cached_tokens: int):
    prompts = prompts_of(random.Random(1), 12)
    expected = [greedy(model, prompt, max_tokens=KEPT_SINGLY + 4) for prompt in prompts]
    generator = Generator(model, CacheBudget(cached_tokens))
    for _ in range(2):
        ended = answered(generator, [generation(p, max_tokens=KEPT_SINGLY + 4) for p in prompts])
        assert [one.answer for one in ended] == expected
    alone = [answered(generator, [generation(p, max_tokens=5)])[0].answer for p in prompts]
    assert alone == [answer[:5] for answer in expected]


@MODEL_OF
@given(prompts=PROMPTS, limit=st.sampled_from([0, 30, 200, 40_000]), seed=st.integers(0, 99))
def test_answers_do_not_depend_on_what_is_remembered(
    model: Llama, prompts: list[list[int]], limit: int, seed: int
):
    """Prompts of few tokens share much, so that pieces part while others are being answered."""
    generator, waiting, running = Generator(model, CacheBudget(limit)), list(prompts), []
    rng = random.Random(seed)
    while waiting or generator.busy:
        while waiting and rng.random() < 0.5:
            running.append(generation(waiting.pop(), max_tokens=6))
            generator.add(running[-1])
        generator.step()
    for one in running:
        assert one.answer == greedy(model, one.prompt, max_tokens=6)


def test_a_prompt_of_many_pieces_is_that_of_the_whole_text(model: Llama):
    prompt = [random.Random(1).randrange(3, 49152) for _ in range(PIECE + 300)]
    (one,) = answered(Generator(model), [generation(prompt, max_tokens=3)])
    assert one.answer == greedy(model, prompt, max_tokens=3)


def test_an_answer_that_was_given_is_looked_up(model: Llama):
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    generator, prompt = Generator(model), list(range(100, 150))
    first, second = (answered(generator, [generation(prompt)])[0] for _ in range(2))
    computed = len(calls)
    assert (first.cached_tokens, second.cached_tokens) == (0, len(prompt))
    assert second.answer == first.answer
    assert computed == len(first.answer) + (len(first.answer) < 12)
    (sampled,) = answered(generator, [generation(prompt, temperature=1.0, max_tokens=1)])
    assert (sampled.cached_tokens, len(calls)) == (len(prompt), computed)
    longer = [*prompt, *first.answer, 7, 8]
    (next_turn,) = answered(generator, [generation(longer, max_tokens=1)])
    assert next_turn.cached_tokens >= len(longer) - 3


def test_a_prompt_waits_for_another_that_begins_alike(model: Llama):
    tokens = []
    model.register_forward_hook(lambda _, args, __: tokens.append(len(args[0])))
    beginning = list(range(200, 400))
    prompts = [[*beginning, 500 + n, 600 + n] for n in range(8)]
    ended = answered(Generator(model), [generation(p, max_tokens=1) for p in prompts])
    assert sum(tokens) < 202 + 7 * 40
    assert [one.answer for one in ended] == [greedy(model, p, max_tokens=1) for p in prompts]


def test_what_must_follow_a_cached_prompt_does_not_hide_it(model: Llama, tiny: Library):
    """More of it than is kept singly."""
    words = "to be or not to be that is the question whether it is nobler in the mind to suffer"
    schema = {"type": "object", "properties": {words: {"type": "boolean"}}, "required": [words]}
    constraints, prompt = Constraints(tiny.tokenizer), list(range(300, 400))
    generator = Generator(model)
    for known in (0, len(prompt)):
        one = generation(prompt, max_tokens=40, constraint=constraints.of_schema(schema))
        assert len(one.answer) > KEPT_SINGLY
        answered(generator, [one])
        assert one.cached_tokens == known


def test_a_dropped_answer_is_not_worked_on(model: Llama):
    generator = Generator(model)
    kept, dropped = generation([5, 6], max_tokens=8), generation([5, 7], max_tokens=200)
    for one in (kept, dropped):
        generator.add(one)
    generator.step()
    generator.drop(dropped)
    while generator.busy:
        generator.step()
    assert (kept.ended, dropped.ended) == (True, False)
    assert len(dropped.answer) == 1


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_answers_are_drawn_by_their_seed(model: Llama, temperature: float):
    def answer(seed: int, generator: Generator) -> list[int]:
        options = {"temperature": temperature, "top_p": 0.95}
        return answered(generator, [generation([9, 8, 7], seed=seed, **options)])[0].answer

    shared = Generator(model)
    answers = [answer(seed, shared) for seed in range(8)]
    assert answers == [answer(seed, Generator(model)) for seed in range(8)]
    assert len({tuple(one) for one in answers}) > 4


def test_scores_are_log_probabilities_of_all_tokens(model: Llama, tiny: Library):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    constraint = Constraints(tiny.tokenizer).of_schema(schema)
    generator, prompt = Generator(model), list(range(30, 60))

    def scored(**options) -> Generation:
        return answered(generator, [generation(prompt, top_logprobs=3, temperature=1.0, **options)])[0]

    for one in (scored(), scored(seed=1), scored(constraint=constraint)):
        assert [score.token for score in one.scores] == one.answer
        with torch.no_grad():
            logprobs = logits_of(model, [*prompt, *one.answer]).log_softmax(-1)[len(prompt) - 1 :]
        for score, expected in zip(one.scores, logprobs, strict=False):
            assert score.logprob == pytest.approx(float(expected[score.token]), abs=1e-4)
            values, ids = expected.topk(3)
            assert [token for token, _ in score.top] == ids.tolist()
            assert [value for _, value in score.top] == pytest.approx(values.tolist(), abs=1e-4)
        assert sum(score.logprob for score in one.scores) <= 0
