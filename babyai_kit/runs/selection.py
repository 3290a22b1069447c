"""Which episodes of a run a table or page is about.

A run may have been given several plans. Those with the same settings (distracting objects, history length)
belong together; episodes under other settings are another question, and are not mixed in unless asked for.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.plan import Plan
from babyai_kit.runs.plan_text import describe, seeds_text
from babyai_kit.runs.records import EpisodeKey
from babyai_kit.runs.run import Run

Settings = tuple[int, int | None]
"""(num_dists, history_length); the latter is None where no variant shows history."""

_PLACE = ("variant", "task", "num_dists", "seed", "repeat", "history_length")
"""An episode's key without run and model: of every model that played it."""


@dataclass(frozen=True)
class Filters:
    """What to look at; None takes everything, of the settings with the most finished seeds."""

    variants: Collection[str] | None = None
    tasks: Collection[str] | None = None
    seeds: Collection[int] | None = None
    models: Collection[str] | None = None
    num_dists: Collection[int] | None = None
    history_length: Collection[int] | None = None

    @property
    def any(self) -> bool:
        return any(value is not None for value in vars(self).values())

    def allow(self, key: EpisodeKey) -> bool:
        """Whether variant, model, task and seed are among those asked for."""
        wanted = (
            (self.variants, key.variant),
            (self.models, key.model),
            (self.tasks, key.task),
            (self.seeds, key.seed),
        )
        return all(values is None or value in values for values, value in wanted)


@dataclass(frozen=True)
class HeldPlan:
    """A plan that the run was given."""

    plan: Plan
    planned: int
    finished: int
    """Of its episodes, those with an outcome."""
    selected: bool
    """Whether the selection shows its settings."""


@dataclass(frozen=True)
class Selection:
    """The episodes that a table or page is about."""

    planned: tuple[EpisodeKey, ...]
    plans: tuple[HeldPlan, ...]
    """All that the run was given, in their order."""
    filters: Filters
    _places: frozenset[tuple[object, ...]] | None
    """None: all."""

    def has(self, key: EpisodeKey) -> bool:
        return self.filters.allow(key) and (self._places is None or _place(key) in self._places)

    def rows(self, episodes: pd.DataFrame) -> pd.DataFrame:
        """The rows of an `episodes` table that are selected, numbered from 0."""
        keys = _keys(episodes)
        return episodes.loc[[self.has(key) for key in keys]].reset_index(drop=True)

    def notes(self, command: str) -> list[str]:
        """For the reader, a line each: what is shown of a run with several plans, and how to see the rest by
        `command`, such as `python -m babyai_kit report first`."""
        lines = []
        if len(self.plans) > 1:
            lines.append(f"This run holds {len(self.plans)} plans:")
            plans = [held.plan for held in self.plans]
            lines += [
                f"  {'shown' if held.selected else 'not shown'}: {describe(held.plan, plans)} "
                f"({held.finished} of {held.planned} episodes finished)"
                for held in self.plans
            ]
            flags = dict.fromkeys(_flags(held.plan, self.plans) for held in self.plans if not held.selected)
            lines += [f"To see the others: {command} {flag}" for flag in flags]
        if limits := _limits(self.filters):
            lines.append(f"Only {limits}.")
        return lines


def select(run: Run, episodes: pd.DataFrame, filters: Filters | None = None) -> Selection:
    """The selection of `run`, whose table is `episodes`.

    Of several settings those with the most seeds that are finished at least in part, unless `filters` name
    others. Raises InputError for filters that leave no planned episode.
    """
    filters = filters or Filters()
    manifest = run.manifest
    groups = _groups(manifest)
    finished = set(_keys(episodes[episodes["status"] == "ok"]))
    keys = {
        plan: plan.keys(manifest.own_models, without_history=manifest.without_history)
        for plan in manifest.plans
    }
    chosen = _asked_for(groups, filters, manifest.run)
    if filters.num_dists is None or filters.history_length is None:
        largest = max(chosen, key=lambda settings: _extent(groups[settings], keys, finished, filters))
        chosen = [
            settings
            for settings in chosen
            if (filters.num_dists is not None or settings[0] == largest[0])
            and (filters.history_length is not None or settings[1] == largest[1])
        ]
    plans = [plan for plan in manifest.plans if any(plan in groups[settings] for settings in chosen)]
    whole = dict.fromkeys(key for plan in plans for key in keys[plan])
    planned = tuple(key for key in whole if filters.allow(key))
    if not planned:
        _refuse(whole, filters, manifest.run)
    return Selection(
        planned=planned,
        plans=tuple(
            HeldPlan(plan, len(keys[plan]), sum(key in finished for key in keys[plan]), plan in plans)
            for plan in manifest.plans
        ),
        filters=filters,
        _places=None if len(chosen) == len(groups) else frozenset(map(_place, whole)),
    )


def results_flag(results: StrPath) -> str:
    """What a command needs after the run's name to find it in `results`."""
    return "" if results is PROJECT_RESULTS else f" --results {shlex.quote(str(results))}"


def _groups(manifest: Manifest) -> dict[Settings, list[Plan]]:
    """The plans by their settings; one whose variants show no history belongs to every history length."""
    lengths = {
        plan: plan.history_length if set(plan.variants) - set(manifest.without_history) else None
        for plan in manifest.plans
    }
    groups: dict[Settings, list[Plan]] = {}
    for plan, length in lengths.items():
        same = [(p.num_dists, n) for p, n in lengths.items() if p.num_dists == plan.num_dists]
        joined = [s for s in dict.fromkeys(same) if s[1] is not None] if length is None else []
        for settings in joined or [(plan.num_dists, length)]:
            groups.setdefault(settings, []).append(plan)
    return groups


def _asked_for(groups: Iterable[Settings], filters: Filters, run: str) -> list[Settings]:
    chosen = list(groups)
    for index, (name, values) in enumerate(
        (("distracting objects", filters.num_dists), ("history length", filters.history_length))
    ):
        left = [s for s in chosen if values is None or s[index] is None or s[index] in values]
        if not left:
            there = ", ".join(dict.fromkeys(str(s[index]) for s in chosen))
            raise InputError(f"run {run!r} has no plan with {name} {_list(values or ())}; it has {there}")
        chosen = left
    return chosen


def _extent(
    plans: Sequence[Plan],
    keys: dict[Plan, list[EpisodeKey]],
    finished: set[EpisodeKey],
    filters: Filters,
) -> tuple[int, int]:
    """(seeds, episodes) with an outcome."""
    done = {k for plan in plans for k in keys[plan] if filters.allow(k) and k in finished}
    return len({key.seed for key in done}), len(done)


def _refuse(planned: Iterable[EpisodeKey], filters: Filters, run: str) -> None:
    """Raises InputError that names the first filter which leaves nothing, and what there is."""
    there = list(planned)
    for name, values in (
        ("variant", filters.variants),
        ("model", filters.models),
        ("task", filters.tasks),
        ("seed", filters.seeds),
    ):
        left = [key for key in there if values is None or getattr(key, name) in values]
        if not left:
            all_values = dict.fromkeys(getattr(key, name) for key in there)
            text = seeds_text(tuple(all_values)) if name == "seed" else ", ".join(all_values)
            raise InputError(f"run {run!r} has no episode of {name} {_list(values or ())}; it has {text}")
        there = left


def _limits(filters: Filters) -> str:
    parts = []
    if filters.variants is not None:
        parts.append(f"variants {', '.join(filters.variants)}")
    if filters.models is not None:
        parts.append(f"models {', '.join(filters.models)}")
    if filters.tasks is not None:
        parts.append(f"tasks {', '.join(filters.tasks)}")
    if filters.seeds is not None:
        parts.append(f"seeds {seeds_text(tuple(filters.seeds))}")
    return "; ".join(parts)


def _flags(plan: Plan, plans: Sequence[HeldPlan]) -> str:
    """The flags that choose the settings of `plan` among those of `plans`."""
    flags = [f"--history-length {plan.history_length}"]
    if len({held.plan.num_dists for held in plans}) > 1:
        flags.append(f"--num-dists {plan.num_dists}")
    return " ".join(flags)


def _list(values: Iterable[object]) -> str:
    texts = [str(value) for value in values]
    return ", ".join(texts[:5]) + (", ..." if len(texts) > 5 else "")


def _keys(episodes: pd.DataFrame) -> list[EpisodeKey]:
    columns = ["run", "variant", "model", *_PLACE[1:]]
    return [EpisodeKey(*values) for values in episodes[columns].itertuples(index=False, name=None)]


def _place(key: EpisodeKey) -> tuple[object, ...]:
    return tuple(getattr(key, name) for name in _PLACE)
