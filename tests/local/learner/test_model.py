"""The transformer and its sampling: the cache changes nothing, rows do not touch each other."""

from __future__ import annotations

import random

import pytest

from tests.local.learner import NO_TORCH

torch = pytest.importorskip("torch", reason=NO_TORCH)

from babyai_kit.local.learner.model import Cache, Shape, Transformer
from babyai_kit.local.learner.sampling import GenerationRequest, generate
from babyai_kit.local.learner.tokenizer import ACTION_TOKENS, TOKEN, TURN, VOCABULARY

SHAPE = Shape(vocabulary=len(VOCABULARY), context=32, layers=2, heads=2, width=32)


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    model = Transformer(SHAPE).eval()
    for parameter in model.parameters():  # far from their small initial values, so that differences show
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_the_cache_gives_what_the_whole_sequence_gives(model: Transformer):
    tokens = torch.randint(3, SHAPE.vocabulary, (3, 10))
    lengths = torch.tensor([4, 7, 6])
    whole = model.hidden(tokens)
    cache = Cache(SHAPE, 3, 12, model.tokens.weight)
    model.hidden(tokens[:, :7], cache)
    for step in range(3):
        at = lengths + step
        one = model.hidden(tokens[torch.arange(3), at][:, None], cache, at)
        torch.testing.assert_close(one[:, 0], whole[torch.arange(3), at])


def test_no_token_sees_what_comes_later(model: Transformer):
    tokens = torch.randint(3, SHAPE.vocabulary, (1, 10))
    other = tokens.clone()
    other[0, 6:] = 3
    torch.testing.assert_close(model.hidden(tokens)[:, :6], model.hidden(other)[:, :6])


def test_a_row_is_answered_alike_alone_and_in_company(model: Transformer):
    prompts = [[random.Random(i).randrange(3, SHAPE.vocabulary) for _ in range(3 + 2 * i)] for i in range(8)]
    together = generate(model, [GenerationRequest(p, random.Random(i)) for i, p in enumerate(prompts)])
    alone = [generate(model, [GenerationRequest(p, random.Random(i))])[0] for i, p in enumerate(prompts)]
    assert together == alone
    assert len({tuple(answer) for answer in together}) > 1


def test_limit_and_temperature(model: Transformer):
    requests = [GenerationRequest([5, 6, 7], random.Random(i), 0.0, max_tokens=1) for i in range(5)]
    answers = generate(model, requests)
    assert {len(answer) for answer in answers} == {1}
    assert len({tuple(answer) for answer in answers}) == 1
    warm = generate(model, [GenerationRequest([5, 6, 7], random.Random(i), max_tokens=1) for i in range(50)])
    assert len({tuple(answer) for answer in warm}) > 5


def test_tokens_are_drawn_in_their_proportions():
    class Fixed(Transformer):
        def logits(self, hidden: torch.Tensor) -> torch.Tensor:
            scores = torch.full((len(hidden), SHAPE.vocabulary), -1e9)
            scores[:, ACTION_TOKENS[0]], scores[:, TOKEN[TURN]] = 0.0, torch.log(torch.tensor(3.0))
            return scores

    requests = [GenerationRequest([5], random.Random(i), max_tokens=1) for i in range(4000)]
    drawn = generate(Fixed(SHAPE).eval(), requests)
    share = sum(answer == [TOKEN[TURN]] for answer in drawn) / len(drawn)
    assert share == pytest.approx(0.75, abs=0.03)
