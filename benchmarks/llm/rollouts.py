"""Episodes straight in the environment, without gateway or store: by a model, at random, or by the expert.

The model gets the prompts that it would get through the gateway, and its answers are held to the same schema.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from babyai_kit.agents.rendering import Messages, Renderer
from babyai_kit.agents.step_prompt import step_prompt
from babyai_kit.configuration.dialects import strict_schema
from babyai_kit.configuration.project import PROJECT_CONFIG
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import ACTIONS, expert_actions, make_env
from babyai_kit.errors import UnsupportedLevelError
from babyai_kit.hostile_text import parse_json
from babyai_kit.local.language_model.constraints import Constraints
from babyai_kit.local.language_model.generation import Generation
from babyai_kit.local.language_model.generator import Generator
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.tokenizer import ChatTokenizer

CALLS_IN_FLIGHT = 16
HISTORY_LENGTH = 16


@dataclass(frozen=True)
class Step:
    """What was seen and done. `label`: what is learned for it; another than `action` in demonstrations."""

    observation: str
    action: str
    label: str
    valid: bool = True


@dataclass(frozen=True)
class Episode:
    """A finished episode. `episode_return` is 0 for a failure."""

    task: str
    seed: int
    repeat: int
    mission: str
    steps: tuple[Step, ...]
    episode_return: float
    max_steps: int

    @property
    def success(self) -> bool:
        return self.episode_return > 0


class Prompts:
    """Of a variant of config/, as the gateway renders them."""

    def __init__(self, variant: str, *, history_length: int = HISTORY_LENGTH) -> None:
        config = load_config(PROJECT_CONFIG, load_settings(None, {}))
        self._variant, self._length = config.variants[variant], history_length
        self._renderer = Renderer(self._variant)
        self.schema = strict_schema(config.output_schema, reasoning=self._variant.asks_reasoning)

    def of(self, mission: str, steps: list[Step], observation: str) -> Messages:
        prompt = step_prompt(
            mission, observation, steps, length=self._length, dialogue=self._variant.dialogue
        )
        return self._renderer.messages(prompt.arguments, prompt.earlier)


class _Running:
    def __init__(self, task: str, seed: int, repeat: int, chance: str = "") -> None:
        self.task, self.seed, self.repeat = task, seed, repeat
        self.env = make_env(task)
        observation, _ = self.env.reset(seed=seed)
        self.mission, self.observation = observation["mission"], observation["text"]
        self.steps: list[Step] = []
        self.episode_return, self.ended = 0.0, False
        self.rng = random.Random(f"{chance} {task} {seed} {repeat}")

    def step(self, action: str, label: str | None = None) -> None:
        self.steps.append(Step(self.observation, action, label or action))
        observation, reward, terminated, truncated, _ = self.env.step(ACTIONS.index(action))
        self.observation = observation["text"]
        self.episode_return += float(reward)
        self.ended = terminated or truncated

    def result(self) -> Episode:
        return Episode(
            self.task,
            self.seed,
            self.repeat,
            self.mission,
            tuple(self.steps),
            self.episode_return,
            self.env.unwrapped.max_steps,
        )


def play(
    model: Llama,
    tokenizer: ChatTokenizer,
    prompts: Prompts,
    plan: Iterable[tuple[str, int, int]],
    *,
    temperature: float,
    explore: float = 0.0,
    chance: str = "",
) -> list[Episode]:
    """Play every (task, seed, repeat) of `plan`, CALLS_IN_FLIGHT at once.

    explore: share of actions that are random and not asked for. chance: other text, other random numbers.
    """
    generator, constraints = Generator(model.eval()), Constraints(tokenizer)
    waiting = iter(plan)
    asked: dict[Generation, _Running] = {}
    episodes = []

    def go_on(episode: _Running) -> bool:
        """Plays until the model is to be asked; False if the episode ended before."""
        while not episode.ended and episode.rng.random() < explore:
            episode.step(episode.rng.choice(ACTIONS))
        if episode.ended:
            episodes.append(episode.result())
            return False
        messages = prompts.of(episode.mission, episode.steps, episode.observation)
        generation = Generation(
            tokenizer.encode_chat(messages),
            max_tokens=256,
            rng=episode.rng,
            ends=tokenizer.ends,
            temperature=temperature,
            constraint=constraints.of_schema(prompts.schema),
        )
        asked[generation] = episode
        generator.add(generation)
        return True

    while True:
        while len(asked) < CALLS_IN_FLIGHT and (place := next(waiting, None)):
            go_on(_Running(*place, chance))
        if not asked:
            return episodes
        for generation in generator.step():
            episode = asked.pop(generation)
            episode.step(parse_json(tokenizer.decode(generation.answer))["action"])
            go_on(episode)


def play_at_random(plan: Iterable[tuple[str, int, int]], *, chance: str = "") -> Iterator[Episode]:
    """Uniformly random actions."""
    for place in plan:
        episode = _Running(*place, chance)
        while not episode.ended:
            episode.step(episode.rng.choice(ACTIONS))
        yield episode.result()


def demonstrate(plan: Iterable[tuple[str, int, int]], *, noise: float) -> Iterator[Episode]:
    """The expert, of whose actions a share is replaced by random ones; the label is always the expert's.

    An episode ends where the expert gives up, which it does after a box was opened.
    """
    for place in plan:
        episode = _Running(*place, "demonstration")
        with contextlib.suppress(UnsupportedLevelError):
            for number in expert_actions(episode.env):
                action = ACTIONS[number]
                chosen = episode.rng.choice(ACTIONS) if episode.rng.random() < noise else action
                episode.step(chosen, label=action)
        yield episode.result()
