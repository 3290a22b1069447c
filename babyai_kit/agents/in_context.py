"""Is shown the moments of earlier successes that are most like its own, found anew for every step by their
embeddings (dynamic in-context learning), and answers with the bare action."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyai_kit.agents.demonstrations import (
    Demonstration,
    best_of_run,
    expert_demonstrations,
    nothing_to_show,
)
from babyai_kit.agents.interface import Embed, Episode, Message, Move, Observation
from babyai_kit.agents.naive import Naive
from babyai_kit.agents.registry import agent
from babyai_kit.configuration.project import PROJECT_RESULTS
from babyai_kit.errors import InputError

MAX_EXAMPLES = 20
MAX_EPISODES = 200


@dataclass(frozen=True)
class Moment:
    """A step of a success."""

    seed: int
    text: str
    action: str


@dataclass(frozen=True)
class Memory:
    """The moments to be found, of each task and number of distractors; embedded when first looked into.

    Shared by all episodes of a run.
    """

    episodes: int
    """Of each task, at most."""
    best: tuple[Demonstration, ...] = ()
    """Of a run; empty: the expert's."""
    embedding: str = ""
    """The model that embeds; empty: the one that fits the settings."""
    _moments: dict[tuple[str, int], list[Moment]] = field(default_factory=dict, repr=False, compare=False)
    _vectors: dict[tuple[str, int], NDArray[np.float64]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _embedding: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

    def moments(self, task: str, num_dists: int) -> list[Moment]:
        """In the order of their episodes: the expert's by seed, a run's the best first."""
        place = task, num_dists
        if place not in self._moments:
            own = (d for d in self.best if (d.task, d.num_dists) == place)
            source = own if self.best else expert_demonstrations(task, num_dists)
            self._moments[place] = [
                Moment(d.seed, situation(d.mission, step.observation), step.action)
                for d in islice(source, self.episodes)
                for step in d.steps
            ]
        return self._moments[place]

    async def nearest(self, now: str, episode: Episode, count: int) -> list[Moment]:
        """The `count` moments most like `now` (cosine), the nearest last; of the episode's own seed none."""
        place = episode.task, episode.num_dists
        moments = self.moments(*place)
        async with self._embedding:
            if place not in self._vectors:
                texts = list(dict.fromkeys(moment.text for moment in moments))
                vectors = dict(zip(texts, await self._embed(episode.embed, texts), strict=True))
                self._vectors[place] = np.array([vectors[moment.text] for moment in moments])
        (vector,) = await self._embed(episode.embed, [now])
        # Once each: a copy teaches nothing more. In their order where they are equally like.
        chosen: dict[tuple[str, str], Moment] = {}
        for number in np.argsort(-(self._vectors[place] @ vector), kind="stable"):
            moment = moments[number]
            if moment.seed != episode.seed:
                chosen.setdefault((moment.text, moment.action), moment)
            if len(chosen) == count:
                break
        return [*chosen.values()][::-1]

    async def _embed(self, embed: Embed, texts: Sequence[str]) -> NDArray[np.float64]:
        vectors = np.array(await embed(texts, self.embedding), dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


@agent(
    "in_context",
    uses_history=True,
    needs=lambda *, embedding="", **_: (f"embeddings:{embedding}" if embedding else "embeddings",),
)
class InContext(Naive):
    """Remembers its last steps, and is shown `examples` moments like the present one; one call a step.

    The moments are those of up to `episodes` successes of its task: the expert's on the train block or, with
    `run`, the best of that run there. Those of the episode's own seed are never shown. `embedding`: the model
    that embeds; empty: the one that fits the settings.
    """

    def __init__(
        self,
        episode: Episode,
        *,
        examples: int = 4,
        episodes: int = 20,
        run: str = "",
        results: str = "",
        embedding: str = "",
        memory: Memory | None = None,
    ) -> None:
        super().__init__(episode)
        if memory is None:
            memory = self.prepare(episodes=episodes, run=run, results=results, embedding=embedding)["memory"]
        if all(m.seed == episode.seed for m in memory.moments(episode.task, episode.num_dists)):
            raise nothing_to_show(episode.variant, run, episode.task, episode.num_dists)
        self._memory, self._examples = memory, examples

    @staticmethod
    def prepare(
        *, examples: int = 4, episodes: int = 20, run: str = "", results: str = "", embedding: str = ""
    ) -> Mapping[str, Any]:
        """Read once for a whole run: the successes of an earlier one, as they are now."""
        for name, value, limit in (
            ("examples", examples, MAX_EXAMPLES),
            ("episodes", episodes, MAX_EPISODES),
        ):
            if not 1 <= value <= limit:
                raise InputError(f"{name} must be 1 to {limit}; got {value}")
        best = best_of_run(run, results=results or PROJECT_RESULTS) if run else []
        return {"memory": Memory(episodes, tuple(best), embedding)}

    async def act(self, observation: Observation) -> Move:
        self.remember(observation)
        now = situation(observation.mission, observation.text)
        nearest = await self._memory.nearest(now, self.episode, self._examples)
        system, user = self.messages(observation)
        shown = [
            message
            for moment in nearest
            for message in (Message("user", moment.text), Message("assistant", moment.action))
        ]
        reply = await self.episode.ask([system, *shown, user])
        return self.read(reply.text)


def situation(mission: str, observation: str) -> str:
    """A moment in words, as it is embedded and shown."""
    return f"Mission: {mission}\n\nCurrent observation:\n{observation}"
