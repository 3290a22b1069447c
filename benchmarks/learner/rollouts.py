"""Episodes played by a model straight in the environment, many at once, without server, gateway or store.

The model gets the tokens that it would get from the chat messages, so it plays as it does behind the gateway.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from babyai_kit.agents.template_agent import FALLBACK_ACTION
from babyai_kit.environment import ACTIONS, make_env
from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.sampling import MAX_ANSWER_TOKENS, GenerationRequest, generate
from babyai_kit.local.learner.tokenizer import ACTION_TOKENS, READS, TOKEN, TURN, Prompt, Turn, encode_prompt

_ACTIONS = {(token, TOKEN[TURN]): action for token, action in zip(ACTION_TOKENS, ACTIONS, strict=True)}
"""Action by the tokens of a valid answer."""


@dataclass(frozen=True)
class Episode:
    """A finished episode. `episode_return` is 0 for a failure."""

    task: str
    seed: int
    repeat: int
    mission: str
    turns: tuple[Turn, ...]
    episode_return: float

    @property
    def success(self) -> bool:
        return self.episode_return > 0


def play_episodes(
    model: Transformer,
    plan: Iterable[tuple[str, int, int]],
    *,
    history_length: int = READS,
    temperature: float = 1.0,
    seed: int = 0,
    max_batch: int = 256,
    on_episode: Callable[[Episode], None] | None = None,
) -> list[Episode]:
    """Play every (task, seed, repeat) of `plan`, up to `max_batch` episodes at once.

    Returned in the order in which they end; `on_episode` is called with each then. `history_length`: past
    steps in the prompt, of which the model reads the last READS.
    """
    waiting = deque(plan)
    model.eval()
    running: list[_RunningEpisode] = []
    episodes = []
    max_prompt = model.shape.context - MAX_ANSWER_TOKENS
    while waiting or running:
        while waiting and len(running) < max_batch:
            running.append(_RunningEpisode(*waiting.popleft(), seed))
        running.sort(key=lambda episode: len(episode.turns))
        requests = [
            GenerationRequest(encode_prompt(e.prompt(history_length), max_prompt), e.rng, temperature)
            for e in running
        ]
        for episode, answer in zip(running, generate(model, requests), strict=True):
            episode.step(_ACTIONS.get(tuple(answer)))
            if episode.ended:
                episodes.append(episode.result())
                if on_episode:
                    on_episode(episodes[-1])
        running = [episode for episode in running if not episode.ended]
    return episodes


class _RunningEpisode:
    def __init__(self, task: str, seed: int, repeat: int, sampling_seed: int) -> None:
        self.task, self.seed, self.repeat = task, seed, repeat
        self.env = make_env(task)
        observation, _ = self.env.reset(seed=seed)
        self.mission, self.observation = observation["mission"], observation["text"]
        self.turns: list[Turn] = []
        self.episode_return, self.ended = 0.0, False
        self.rng = random.Random(f"{sampling_seed} {task} {seed} {repeat}")

    def prompt(self, history_length: int) -> Prompt:
        history = tuple(self.turns[-history_length:]) if history_length else ()
        return Prompt(self.mission, history, self.observation)

    def step(self, action: str | None) -> None:
        executed = action or FALLBACK_ACTION
        self.turns.append(Turn(self.observation, executed, action is not None))
        observation, reward, terminated, truncated, _ = self.env.step(ACTIONS.index(executed))
        self.observation = observation["text"]
        self.episode_return += float(reward)
        self.ended = terminated or truncated

    def result(self) -> Episode:
        return Episode(
            self.task, self.seed, self.repeat, self.mission, tuple(self.turns), self.episode_return
        )
