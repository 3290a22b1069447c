"""What a plan will take: calls, tokens, cost; expected, and at most.

Before the first answer the expected lengths are typical ones; while the run goes, both figures are learned
from its answers. At most is every episode at its step limit and every answer as long as `max_tokens` allows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from babyai_kit.agents.step_prompt import mean_shown
from babyai_kit.configuration.prices import Price
from babyai_kit.configuration.variants import Config
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, StepRecord
from babyai_kit.tokens import count_text

OBSERVATION_TOKENS = 45
"""A typical mission and observation (measured on the five tasks)."""
MAX_OBSERVATION_TOKENS, MAX_DISTRACTOR_TOKENS = 80, 12
"""The longest without distractors, as a step of the history, and what each distractor adds (likewise)."""
TURN_TOKENS = 16
"""Of a dialogue, what frames two messages and the answer in the former's place add to such a step at most."""
ANSWER_TOKENS = {False: 8, True: 60}
"""A typical answer without and with reasoning that the prompt asks for."""
MIN_ANSWERS, MIN_EPISODES = 20, 10
"""From so many on, a variant's answers and the run's finished episodes tell more than typical ones."""

PRIOR_STEPS = 50
"""Steps of a variant and task that weigh as much as the frequency over all."""


@dataclass(frozen=True)
class Amount:
    """Calls, their tokens, and their cost in US dollars (None without a price)."""

    calls: float = 0
    input_tokens: float = 0
    output_tokens: float = 0
    cost_usd: float | None = 0.0

    @property
    def tokens(self) -> float:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Amount) -> Amount:
        costs = self.cost_usd, other.cost_usd
        return Amount(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if costs[0] is None or costs[1] is None else costs[0] + costs[1],
        )

    @property
    def cost(self) -> str:
        """In words."""
        return "no price known" if self.cost_usd is None else f"${self.cost_usd:,.2f}"

    @property
    def in_tokens(self) -> str:
        """Tokens and cost in words."""
        return f"{self.input_tokens:,.0f} input and {self.output_tokens:,.0f} output tokens, {self.cost}"


@dataclass(frozen=True)
class Estimate:
    """What is left of a plan."""

    expected: Amount
    at_most: Amount


class _Lengths:
    """Calls and tokens of a variant's steps: typical ones, then those seen."""

    def __init__(self, config: Config, key: EpisodeKey, max_tokens: int) -> None:
        variant = config.variants[key.variant]
        self._calls, self._max_calls = 1.0, 1
        if variant.asks is not None:
            self._calls, self._max_calls = sum(variant.asks.values()), len(variant.asks)
            variant = config.variants[next(iter(variant.asks), key.variant)]
        system = variant.templates.get("system", "")
        past = key.history_length if variant.shows_history else 0
        prompt = count_text(system)
        longest = MAX_OBSERVATION_TOKENS + MAX_DISTRACTOR_TOKENS * key.num_dists
        self.price: Price | None = config.price_of(config.model(key.model))
        shown: float = 1 + past
        if variant.dialogue:
            shown, longest = 1 + mean_shown(past), longest + TURN_TOKENS
        typical = prompt + OBSERVATION_TOKENS * shown, ANSWER_TOKENS[variant.asks_reasoning]
        self._typical = typical[0] * self._calls, typical[1] * self._calls
        self._max = (prompt + longest * (1 + past)) * self._max_calls, max_tokens * self._max_calls
        self._sum = 0, 0, 0
        self._answers = 0

    def learn(self, calls: int, input_tokens: int, output_tokens: int) -> None:
        self._answers += 1
        self._sum = self._sum[0] + calls, self._sum[1] + input_tokens, self._sum[2] + output_tokens
        self._max_calls = max(self._max_calls, calls)
        self._max = max(self._max[0], input_tokens), max(self._max[1], output_tokens)

    def expected(self, steps: float) -> Amount:
        if self._answers < MIN_ANSWERS:
            return self._amount(steps, self._calls, *self._typical)
        return self._amount(steps, *(total / self._answers for total in self._sum))

    def at_most(self, steps: float) -> Amount:
        return self._amount(steps, self._max_calls, *self._max)

    def _amount(self, steps: float, calls: float, input_tokens: float, output_tokens: float) -> Amount:
        if not calls:
            return Amount()
        tokens = steps * input_tokens, steps * output_tokens
        return Amount(steps * calls, *tokens, self.price.cost_usd(*tokens) if self.price else None)


_Agent = tuple[str, str]
"""Variant and model."""
_Cell = tuple[str, str, str]
"""Variant, model and task."""


@dataclass
class _Ends:
    """How often episodes ended before their limit, in how many steps."""

    early: int = 0
    steps: int = 0


def _expected_steps(left: int, chance: float) -> float:
    """Of an episode with `left` steps to go, each of which ends it with `chance`."""
    return (1 - (1 - chance) ** left) / chance if chance > 0 else left


class Forecast:
    """The rest of a plan, given as episodes with the number of steps each may still take."""

    def __init__(self, config: Config, left: Iterable[tuple[EpisodeKey, int]], max_tokens: int) -> None:
        self._left = dict(left)
        self._taken = dict.fromkeys(self._left, 0)
        self._ends: dict[_Cell, _Ends] = {}
        self._steps: dict[_Agent, int] = {}
        self._lengths: dict[_Agent, _Lengths] = {}
        for key, steps in self._left.items():
            agent = _agent(key)
            self._steps[agent] = self._steps.get(agent, 0) + steps
            if agent not in self._lengths:
                self._lengths[agent] = _Lengths(config, key, max_tokens)
        self._ended = 0

    @property
    def keys(self) -> Collection[EpisodeKey]:
        """The episodes."""
        return self._left.keys()

    def step(self, step: StepRecord) -> None:
        """A step was taken; one of another plan changes nothing."""
        if step.key not in self._left:
            return
        self._take(step.key, 1)
        self._taken[step.key] += 1
        self._ends_of(step.key).steps += 1
        if step.input_tokens is not None and step.output_tokens is not None:
            lengths = self._lengths[step.variant, step.model]
            lengths.learn(step.calls, step.input_tokens, step.output_tokens)

    def episode(self, episode: EpisodeRecord) -> None:
        """An episode ended."""
        if episode.key not in self._left:
            return
        self._take(episode.key, self._left[episode.key])
        if episode.status == "ok":
            self._ended += 1
            ends = self._ends_of(episode.key)
            ends.steps += max(0, episode.episode_length - self._taken[episode.key])
            ends.early += episode.episode_length < episode.max_steps

    def rest(self, *, without: Collection[str] = ()) -> Estimate:
        """What is left now, without the models that play no more.

        Each step ends an episode early with the frequency seen so far, in its variant and task, over all
        steps: those of episodes that still go on count, since quick ones end first. While few have ended,
        every episode is expected to take all its steps.
        """
        chances = self._chances()
        steps: dict[_Agent, float] = dict.fromkeys(self._steps, 0.0)
        for key, left in self._left.items():
            steps[_agent(key)] += _expected_steps(left, chances.get(_cell(key), 0.0))
        expected = at_most = Amount()
        for agent, most in self._steps.items():
            if agent[1] in without:
                continue
            expected += self._lengths[agent].expected(steps[agent])
            at_most += self._lengths[agent].at_most(most)
        return Estimate(expected, at_most)

    def _ends_of(self, key: EpisodeKey) -> _Ends:
        return self._ends.setdefault(_cell(key), _Ends())

    def _chances(self) -> dict[_Cell, float]:
        """The chance that a step ends its episode, by agent and task; drawn towards that of all."""
        steps = sum(ends.steps for ends in self._ends.values())
        if self._ended < MIN_EPISODES or not steps:
            return {}
        of_all = sum(ends.early for ends in self._ends.values()) / steps
        cells = {_cell(key) for key in self._left}
        seen = {cell: self._ends.get(cell, _Ends()) for cell in cells}
        return {
            cell: (ends.early + of_all * PRIOR_STEPS) / (ends.steps + PRIOR_STEPS)
            for cell, ends in seen.items()
        }

    def _take(self, key: EpisodeKey, steps: int) -> None:
        self._left[key] -= steps
        self._steps[_agent(key)] -= steps


def _agent(key: EpisodeKey) -> _Agent:
    return key.variant, key.model


def _cell(key: EpisodeKey) -> _Cell:
    return key.variant, key.model, key.task
