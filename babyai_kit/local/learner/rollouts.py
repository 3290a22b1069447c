"""Episodes played by a model straight in the environment, many at once, without server, gateway or store.

Knows environment and model. The model gets the tokens that it would get from the chat messages, so it plays
as it does behind the gateway; what is missing is everything around it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from babyai_kit.agents.template_agent import FALLBACK_ACTION
from babyai_kit.environment import ACTIONS, make_env
from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.sampling import LONGEST_ANSWER, Ask, generate
from babyai_kit.local.learner.tokenizer import ACTION_TOKENS, READS, TOKEN, TURN, Prompt, Turn, encode_prompt

_ANSWER = {(token, TOKEN[TURN]): action for token, action in zip(ACTION_TOKENS, ACTIONS, strict=True)}


@dataclass(frozen=True)
class Played:
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


def play(
    model: Transformer,
    plan: Iterable[tuple[str, int, int]],
    *,
    history_length: int = READS,
    temperature: float = 1.0,
    seed: int = 0,
    at_once: int = 256,
    done: Callable[[Played], None] = lambda episode: None,
) -> list[Played]:
    """Play every (task, seed, repeat) of `plan`, `at_once` episodes abreast; returned in order of their end.

    `history_length`: past steps in the prompt; of more than READS the last READS are read. `done` is told of
    each episode as it ends.
    """
    waiting = deque(plan)
    model.eval()
    live: list[_Live] = []
    played = []
    room = model.shape.context - LONGEST_ANSWER
    while waiting or live:
        while waiting and len(live) < at_once:
            live.append(_Live(*waiting.popleft(), seed))
        live.sort(key=lambda episode: len(episode.turns))
        asks = [Ask(encode_prompt(e.prompt(history_length), room), e.draw, temperature) for e in live]
        for episode, answer in zip(live, generate(model, asks), strict=True):
            episode.step(_ANSWER.get(tuple(answer)))
            if episode.ended:
                played.append(episode.played())
                done(played[-1])
        live = [episode for episode in live if not episode.ended]
    return played


class _Live:
    def __init__(self, task: str, seed: int, repeat: int, salt: int) -> None:
        self.task, self.seed, self.repeat = task, seed, repeat
        self.env = make_env(task)
        first, _ = self.env.reset(seed=seed)
        self.mission, self.observation = first["mission"], first["text"]
        self.turns: list[Turn] = []
        self.episode_return, self.ended = 0.0, False
        self.draw = random.Random(f"{salt} {task} {seed} {repeat}")

    def prompt(self, history_length: int) -> Prompt:
        history = tuple(self.turns[-history_length:]) if history_length else ()
        return Prompt(self.mission, history, self.observation)

    def step(self, action: str | None) -> None:
        executed = action or FALLBACK_ACTION
        self.turns.append(Turn(self.observation, executed, action is not None))
        seen, reward, terminated, truncated, _ = self.env.step(ACTIONS.index(executed))
        self.observation = seen["text"]
        self.episode_return += float(reward)
        self.ended = terminated or truncated

    def played(self) -> Played:
        return Played(self.task, self.seed, self.repeat, self.mission, tuple(self.turns), self.episode_return)
