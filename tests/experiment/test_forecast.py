"""What a plan will take: bounds that hold, expectations and what they assume, and what answers teach."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyai_kit.agents.rendering import Renderer
from babyai_kit.agents.step_prompt import step_prompt
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config, load_config
from babyai_kit.environment import ACTIONS, TASKS, make_env
from babyai_kit.experiment.backlog import Backlog
from babyai_kit.experiment.estimate import announcement, forecast_of
from babyai_kit.experiment.forecast import MIN_ANSWERS, Amount, Forecast
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import EpisodeKey, StepRecord
from babyai_kit.tokens import count_prompt
from tests.support.journals import idle, play
from tests.support.project import CONFIG

PRICED = "gpt-4o-mini-2024-07-18"
STEPS = play(idle).steps
RECORD = replace(play(idle).record, model=PRICED)  # type: ignore[type-var]


def config_for(model: str) -> Config:
    return load_config(CONFIG, Settings(model=model))


def key(variant: str = "baseline", seed: int = 0, task: str = "goto", model: str = PRICED) -> EpisodeKey:
    return replace(STEPS[0].key, variant=variant, task=task, seed=seed, model=model)


def answered(seed: int = 0, variant: str = "baseline", **tokens: Any) -> Any:
    return replace(STEPS[0], seed=seed, variant=variant, model=PRICED, **tokens)


def test_at_most_is_every_answer_at_its_limit_and_expected_is_not() -> None:
    forecast = Forecast(config_for(PRICED), [(key(seed=s), 64) for s in range(2)], max_tokens=1024)
    rest = forecast.rest()
    assert rest.at_most.calls == rest.expected.calls == 128
    assert rest.at_most.output_tokens == 128 * 1024
    assert rest.expected.output_tokens == 128 * 8
    assert rest.expected.input_tokens <= rest.at_most.input_tokens
    assert rest.at_most.cost_usd == pytest.approx((rest.at_most.input_tokens * 0.15 + 128 * 1024 * 0.6) / 1e6)
    assert 0 < (rest.expected.cost_usd or 0) < (rest.at_most.cost_usd or 0)


@pytest.mark.parametrize(("model", "cost"), [("unknown", None), ("offline-player", 0.0)])
def test_without_a_price_there_is_no_cost_and_a_free_model_costs_nothing(
    model: str, cost: float | None
) -> None:
    rest = Forecast(config_for(model), [(key(model=model), 64)], 1024).rest()
    assert rest.expected.cost_usd == rest.at_most.cost_usd == cost
    assert ("no price known" in rest.at_most.in_tokens) == (cost is None)


def test_both_learn_from_the_answers() -> None:
    forecast = Forecast(config_for(PRICED), [(key(seed=s), 64) for s in range(2)], max_tokens=1024)
    for _ in range(MIN_ANSWERS):
        forecast.step(answered(input_tokens=1000, output_tokens=900))
    rest = forecast.rest()
    left = 128 - MIN_ANSWERS
    assert rest.expected == Amount(
        left,
        left * 1000,
        left * 900,
        pytest.approx(left * (150 + 540) / 1e6),  # type: ignore[arg-type]
    )
    assert rest.at_most.input_tokens == left * 1000
    assert rest.at_most.output_tokens == left * 1024


def test_unknown_usage_teaches_nothing_and_breaks_nothing() -> None:
    forecast = Forecast(config_for(PRICED), [(key(), 64)], 1024)
    for tokens in ((None, None), (10, None), (None, 3)) * 10:
        forecast.step(answered(input_tokens=tokens[0], output_tokens=tokens[1]))
    rest = forecast.rest()
    assert rest.expected.calls == 64 - 30
    assert rest.expected.output_tokens == (64 - 30) * 8


def test_answers_of_another_plan_change_nothing() -> None:
    assert RECORD is not None
    forecast = Forecast(config_for(PRICED), [(key(), 64)], 1024)
    before = forecast.rest()
    forecast.step(answered(seed=7, variant="history"))
    forecast.episode(replace(RECORD, seed=7))
    assert forecast.rest() == before


def test_an_ended_episode_owes_nothing_and_many_teach_how_long_they_are() -> None:
    assert RECORD is not None
    forecast = Forecast(config_for(PRICED), [(key(seed=s), 64) for s in range(20)], 1024)
    for seed in range(10):
        assert forecast.rest().expected.calls == (20 - seed) * 64
        forecast.episode(replace(RECORD, seed=seed, episode_length=16, max_steps=64))
    rest = forecast.rest()
    assert rest.at_most.calls == 640
    assert 150 < rest.expected.calls <= 160


def test_episodes_that_go_on_count_since_quick_ones_end_first() -> None:
    assert RECORD is not None
    forecast = Forecast(config_for(PRICED), [(key(seed=s), 100) for s in range(20)], 1024)
    for seed in range(20):
        for _ in range(10 if seed < 10 else 90):
            forecast.step(answered(seed))
    for seed in range(10):
        forecast.episode(replace(RECORD, seed=seed, episode_length=10, max_steps=100))
    # An end in every 100 steps, and not in every 10 as among those that ended.
    assert forecast.rest().at_most.calls == 100
    assert 90 < forecast.rest().expected.calls < 100


@pytest.mark.parametrize("variant", ["history", "dialogue"])
def test_no_prompt_is_longer_than_at_most_says(variant: str) -> None:
    """Also where every answer was invalid, of which the prompt has a note."""
    config, length, dice = config_for(PRICED), 8, random.Random(0)
    renderer, dialogue = Renderer(config.variants[variant]), config.variants[variant].dialogue
    longest: dict[str, int] = {}
    for task in TASKS:
        env = make_env(task)
        text = env.reset(seed=1)[0]["text"]
        steps: list[StepRecord] = []
        while env.running and len(steps) < 30:
            prompt = step_prompt(env.mission, text, steps, length=length, dialogue=dialogue)
            tokens = count_prompt(renderer.messages(prompt.arguments, prompt.earlier))
            longest[task] = max(longest.get(task, 0), tokens)
            steps.append(replace(STEPS[0], observation=text, action="go forward", valid=False))
            text = env.step(dice.randrange(len(ACTIONS)))[0]["text"]
        planned = replace(key(variant, task=task), history_length=length)
        rest = Forecast(config, [(planned, 1)], 16).rest()
        assert longest[task] <= rest.at_most.input_tokens
        assert rest.expected.input_tokens > count_prompt(renderer.messages(prompt.arguments)[:1])


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 10**9), st.none() | st.integers(0, 10**9)),
        max_size=40,
    )
)
def test_expected_never_passes_at_most(answers: list[tuple[int, int | None, int | None]]) -> None:
    forecast = Forecast(config_for(PRICED), [(key(seed=s), 128) for s in range(4)], 16)
    for seed, input_tokens, output_tokens in answers:
        forecast.step(answered(seed, input_tokens=input_tokens, output_tokens=output_tokens))
        rest = forecast.rest()
        for name in ("calls", "input_tokens", "output_tokens", "cost_usd"):
            expected, at_most = getattr(rest.expected, name), getattr(rest.at_most, name)
            assert 0 <= expected <= at_most * (1 + 1e-9)
            assert math.isfinite(at_most)


def announced(model: str, *, episodes: int, max_tokens: int) -> list[str]:
    config = config_for(model)
    digest = config.variants["baseline"].digest
    keys = [replace(key(seed=s), model=model) for s in range(episodes)]
    owed = [PlannedEpisode(k, digest, f"e{k.seed}") for k in keys]
    backlog, sampling = Backlog(done=[], owed=owed), Sampling(max_tokens=max_tokens)
    return announcement(backlog, forecast_of(config, backlog, sampling), sampling).split("\n")


def test_the_announcement_tells_both_and_what_they_assume() -> None:
    head, columns, expected, at_most, *assumed = announced(PRICED, episodes=2, max_tokens=500)
    assert head == "0 of 2 episodes are done; the rest takes:"
    assert re.split(r"  +", columns.strip()) == ["calls", "tokens in", "tokens out", "cost"]
    assert re.fullmatch(r"  expected +128 +[\d,]+ +1,024 +\$0\.\d\d", expected)
    assert re.fullmatch(r"  at most +128 +[\d,]+ +64,000 +\$0\.05", at_most)
    text = " ".join(assumed)
    assert "Expected: 8 tokens an answer, 60 where the prompt asks for reasoning" in text
    assert "At most: 500 tokens an answer" in text


@pytest.mark.parametrize("model", [PRICED, "unpriced"])
@pytest.mark.parametrize("max_tokens", [1, 10**6])
def test_the_announcement_fits_a_terminal_and_is_aligned(model: str, max_tokens: int) -> None:
    lines = announced(model, episodes=3000, max_tokens=max_tokens)
    assert max(map(len, lines)) < 80
    assert len({len(line) for line in lines[1:4]}) == 1
    assert lines[2].endswith("no price known") == (model == "unpriced")
