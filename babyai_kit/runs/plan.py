"""The plan of a run: which episodes it owes, how the model samples, and the checks before the first call."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from babyai_kit.configuration.served_models import needs
from babyai_kit.configuration.variants import Config
from babyai_kit.environment import TASKS, make_env
from babyai_kit.errors import InputError, unknown
from babyai_kit.runs.records import EpisodeKey
from babyai_kit.runs.seed_blocks import VALIDATION

DEFAULT_VARIANTS = ("baseline", "reasoning", "history", "history_and_reasoning")
DEFAULT_SEEDS = VALIDATION
DEFAULT_HISTORY_LENGTH = 8
DEFAULT_MAX_TOKENS = 1024

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Of reasoning, as providers call them; no provider knows all."""


@dataclass(frozen=True)
class Sampling:
    """What is asked of the model beside the prompt; one per run name."""

    temperature: float | None = None
    """0 to 2; None leaves the model server's default."""
    max_tokens: int = DEFAULT_MAX_TOKENS
    """Limit of one answer."""
    call_seeds: bool = True
    """Pass each call a seed derived from its place in the plan."""
    reasoning_effort: str | None = None
    """How long a model that reasons may think, as its server says it: one of EFFORTS; None: its default."""
    thinking_budget_tokens: int | None = None
    """Limit of the tokens that it thinks with, where its provider knows one; None: its default."""

    def check(self) -> None:
        """Raises InputError for a value out of range."""
        temperature = self.temperature
        if temperature is not None and not (
            isinstance(temperature, (int, float)) and math.isfinite(temperature) and 0 <= temperature <= 2
        ):
            raise InputError(
                f"temperature {temperature!r} is not in range; use 0 to 2, or None for the server's default"
            )
        _check_whole("max_tokens", self.max_tokens, 1)
        if self.reasoning_effort is not None and self.reasoning_effort not in EFFORTS:
            raise InputError(unknown("reasoning_effort", self.reasoning_effort, EFFORTS))
        if self.thinking_budget_tokens is not None:
            _check_whole("thinking_budget_tokens", self.thinking_budget_tokens, 0)
            if self.reasoning_effort is not None:
                raise InputError("give reasoning_effort or thinking_budget_tokens, not both")


@dataclass(frozen=True)
class Plan:
    """variants x models x tasks x seeds x repeats of one run, checked by `make_plan`."""

    run: str
    variants: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    num_dists: int
    repeats: int
    history_length: int
    models: tuple[str, ...] = ()
    """Of the variants that have no model of their own."""

    @classmethod
    def from_json(cls, plan: Mapping[str, Any]) -> Plan:
        """A plan as run.json holds it, unchecked. Raises KeyError or TypeError if it is not one."""
        tuples: dict[str, Any] = {
            name: tuple(plan[name]) for name in ("variants", "tasks", "seeds", "models")
        }
        numbers = {name: plan[name] for name in ("num_dists", "repeats", "history_length")}
        return cls(run=plan["run"], **tuples, **numbers)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def keys(
        self,
        own_models: Mapping[str, str],
        shard: tuple[int, int] | None = None,
        *,
        without_history: Mapping[str, int] | None = None,
    ) -> list[EpisodeKey]:
        """Every planned episode, whole seeds first: a run that stops early leaves complete seed blocks.

        `own_models`: of the variants that have one. `shard` (i, n) keeps every n-th seed, counted from i: a
        shard holds whole seed blocks too. `without_history`: see Manifest.
        """
        fixed = without_history or {}
        seeds = self.seeds if shard is None else self.seeds[shard[0] :: shard[1]]
        return [
            EpisodeKey(
                run=self.run,
                variant=variant,
                model=model,
                task=task,
                num_dists=self.num_dists,
                seed=seed,
                repeat=repeat,
                history_length=fixed.get(variant, self.history_length),
            )
            for seed in seeds
            for repeat in range(self.repeats)
            for task in self.tasks
            for variant, model in self.agents(own_models)
        ]

    def asks_the_same(self, other: Plan) -> bool:
        """True if both have the same episodes, in whichever order their models and variants are named."""
        return self._in_order() == other._in_order()

    def _in_order(self) -> Plan:
        return replace(self, variants=tuple(sorted(self.variants)), models=tuple(sorted(self.models)))

    def agents(self, own_models: Mapping[str, str]) -> list[tuple[str, str]]:
        """(variant, model) of every agent, in the order of the plan."""
        return [
            (variant, model)
            for variant in self.variants
            for model in ((own_models[variant],) if variant in own_models else self.models)
        ]


def make_plan(
    config: Config,
    *,
    run: str,
    variants: Iterable[str] = DEFAULT_VARIANTS,
    tasks: Iterable[str] = TASKS,
    seeds: Iterable[int] = DEFAULT_SEEDS,
    num_dists: int = 0,
    repeats: int = 1,
    history_length: int = DEFAULT_HISTORY_LENGTH,
    models: Iterable[str] | None = None,
) -> Plan:
    """Check and freeze a plan. Raises InputError that names what is wrong and what is valid.

    `models`: None: those of the settings. A variant with a model of its own is played by that one alone.
    """
    plan = Plan(
        run=run,
        variants=_items("variants", variants),
        tasks=_items("tasks", tasks),
        seeds=_items("seeds", seeds),
        num_dists=num_dists,
        repeats=repeats,
        history_length=history_length,
        models=config.default_models if models is None else _items("models", models),
    )
    for variant in plan.variants:
        if variant not in config.variants:
            raise InputError(unknown("variant", variant, config.variants))
    _check_agents(config, plan)
    for seed in plan.seeds:
        _check_whole("seed", seed, 0)
    _check_whole("num_dists", num_dists, 0)
    _check_whole("repeats", repeats, 1)
    _check_whole("history_length", history_length, 0)
    for task in plan.tasks:
        # Only building it tells whether minigrid has the level.
        make_env(task, num_dists=num_dists).close()
    return plan


def _check_agents(config: Config, plan: Plan) -> None:
    agents = config.agents(plan.variants, plan.models)
    # A gateway over HTTP has the keys of its providers itself.
    lacking = dict.fromkeys(needs(agent.model) for agent in agents if agent.model.missing)
    if lacking and not config.settings.gateway_url:
        raise InputError("; ".join(lacking))


def _items(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, str):
        raise InputError(f"{name} is a string; pass a list, like [{values!r}]")
    items = tuple(values)
    if not items:
        raise InputError(f"{name} is empty; name at least one")
    twice = [str(value) for value, count in Counter(items).items() if count > 1]
    if twice:
        raise InputError(f"{name} given twice: {', '.join(twice)}; name each once")
    return items


def _check_whole(name: str, value: Any, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InputError(f"{name} {value!r} is not valid; use a whole number of at least {minimum}")
