"""The plan of a run: which episodes it owes, and the checks that come before the first call.

Knows variants, tasks, seeds and their product; runs nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from babyai_kit.configuration.variants import Config
from babyai_kit.environment import TASKS, make_env
from babyai_kit.errors import InputError
from babyai_kit.runs.records import EpisodeKey

DEFAULT_VARIANTS = ("baseline", "reasoning", "history", "history_and_reasoning")
DEFAULT_SEEDS = range(200, 220)


@dataclass(frozen=True)
class Sampling:
    """What is asked of the model beside the prompt; one per run name."""

    temperature: float | None = None
    """0 to 2; None leaves the model server's default."""
    max_tokens: int = 1024
    """Limit of one answer."""
    call_seeds: bool = True
    """Pass each call a seed derived from its place in the plan."""


@dataclass(frozen=True)
class Plan:
    """variants x tasks x seeds x repeats of one run, checked by `make_plan`."""

    run: str
    variants: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    num_dists: int
    repeats: int
    history_length: int

    def keys(self, config: Config, shard: tuple[int, int] | None = None) -> list[EpisodeKey]:
        """Every planned episode, whole seeds first: a run that stops early leaves complete seed blocks.

        `shard` (i, n) keeps every n-th seed, counted from i: a shard holds whole seed blocks too.
        """
        seeds = self.seeds if shard is None else self.seeds[shard[0] :: shard[1]]
        return [
            EpisodeKey(
                run=self.run,
                variant=variant,
                model=config.variants[variant].model,
                task=task,
                num_dists=self.num_dists,
                seed=seed,
                repeat=repeat,
                history_length=self.history_length,
            )
            for seed in seeds
            for repeat in range(self.repeats)
            for task in self.tasks
            for variant in self.variants
        ]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(
    config: Config,
    *,
    run: str,
    variants: Iterable[str] = DEFAULT_VARIANTS,
    tasks: Iterable[str] = TASKS,
    seeds: Iterable[int] = DEFAULT_SEEDS,
    num_dists: int = 0,
    repeats: int = 1,
    history_length: int = 8,
) -> Plan:
    """Check and freeze a plan. Raises InputError that names what is wrong and what is valid."""
    variants, tasks, seeds = (
        _items("variants", variants),
        _items("tasks", tasks),
        _items("seeds", seeds),
    )
    for variant in variants:
        if variant not in config.variants:
            raise InputError(f"unknown variant {variant!r}; choose from {', '.join(config.variants)}")
    for seed in seeds:
        _whole("seed", seed, 0)
    _whole("num_dists", num_dists, 0)
    _whole("repeats", repeats, 1)
    _whole("history_length", history_length, 0)
    for task in tasks:
        # Only building it tells whether minigrid has the level.
        make_env(task, num_dists=num_dists).close()
    return Plan(run, variants, tasks, seeds, num_dists, repeats, history_length)


def make_sampling(temperature: float | None, max_tokens: int, call_seeds: bool) -> Sampling:
    """Check and freeze the sampling parameters. Raises InputError."""
    if temperature is not None and not (
        isinstance(temperature, (int, float)) and math.isfinite(temperature) and 0 <= temperature <= 2
    ):
        raise InputError(
            f"temperature {temperature!r} is not in range; use 0 to 2, or None for the server's default"
        )
    _whole("max_tokens", max_tokens, 1)
    return Sampling(temperature, max_tokens, call_seeds)


def _items(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, str):
        raise InputError(f"{name} is one string; pass a list, like [{values!r}]")
    items = tuple(values)
    if not items:
        raise InputError(f"{name} is empty; name at least one")
    twice = [str(v) for v, count in Counter(items).items() if count > 1]
    if twice:
        raise InputError(f"{name} given twice: {', '.join(twice)}; name each once")
    return items


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} {value!r} is not valid; use a whole number of at least {least}")
