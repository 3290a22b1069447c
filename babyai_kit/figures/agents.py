"""The rows of a figure: which agents there are, in which order, under which name, colour and marker.

An agent is a variant, together with its model or other settings where these differ. Colours are Okabe and
Ito's (2008), safe for colour-blind readers; markers differ too, so that a figure reads in grey.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from babyai_kit.environment import SUITES
from babyai_kit.figures.chart import fold, plain
from babyai_kit.figures.model_names import short_names
from babyai_kit.runs.plan import DEFAULT_VARIANTS
from babyai_kit.runs.references import EXPERT, RANDOM
from babyai_kit.stats import ALL_TASKS, groups

Agent = tuple[Any, ...]
"""The values of the columns that name an agent; the variant comes first."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#7F7F7F")
MARKERS = "os^DvPXp<>hd*8H"
STYLES = tuple((COLOURS[i % len(COLOURS)], marker) for i, marker in enumerate(MARKERS))
"""The four variants'; then those that others get by their name; then a second use of the colours."""
REFERENCES = (RANDOM, EXPERT)
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
"""Of curves, in the order of STYLES: lines that cross are told apart in grey too."""


def keys_of(episodes: pd.DataFrame) -> list[str]:
    """The columns that name an agent in this table: variant, and the model and settings that differ."""
    keys, _ = groups(episodes, ("variant",))
    if episodes["model"].nunique() > 1 and "model" not in keys:
        keys, _ = groups(episodes, ("variant", "model"))
    return keys


def agents_of(rows: pd.DataFrame, keys: Sequence[str]) -> list[Agent]:
    """The agents among the rows: the four variants, then others, between random actions and the expert;
    where variants were played by several models, model by model. Whatever the order of the rows."""
    return [agent for group in lineup(rows, keys).groups for agent in group.agents]


def rows_by_agent(table: pd.DataFrame, keys: Sequence[str]) -> dict[Agent, dict[Any, Any]]:
    """The rows of a table that has one for each agent."""
    return {tuple(row[key] for key in keys): row for row in table.to_dict("records")}


def rows_of(table: pd.DataFrame, keys: Sequence[str], agent: Agent) -> pd.DataFrame:
    """The rows of one agent."""
    for key, value in zip(keys, agent, strict=True):
        table = table[table[key] == value]
    return table


def tasks_of(rows: pd.DataFrame) -> list[str]:
    """The tasks among the rows: ALL_TASKS first, then those of the suites in their order, then others."""
    names = set(rows["task"])
    of_suites = dict.fromkeys(task for suite in SUITES.values() for task in suite.tasks)
    tasks = [task for task in (ALL_TASKS, *of_suites) if task in names]
    return tasks + sorted(names - set(tasks))


def name_of(agent: Agent) -> str:
    """The agent in one line."""
    return ", ".join(map(str, agent))


def styles_of(agents: Sequence[Agent]) -> dict[Agent, tuple[str, str]]:
    """Colour and marker of each agent.

    By the variant's name, so that both stay when other variants are drawn (unless two names collide).
    Where agents differ by more than the variant, the colour tells the variant and the marker the rest; where
    they are all of one variant, both tell the rest.
    """
    players = sorted({agent for agent in agents if agent[0] not in REFERENCES}, key=str)
    if len(players) > 1 and len({agent[0] for agent in players}) == 1:
        ordered = [*players, *sorted(set(agents) - set(players), key=str)]
        return {agent: STYLES[i % len(STYLES)] for i, agent in enumerate(ordered)}
    styles = dict(zip(DEFAULT_VARIANTS, STYLES, strict=False))
    for name in sorted({agent[0] for agent in agents} - set(DEFAULT_VARIANTS)):
        # Grey is the references': beside them, an agent in grey would look like one.
        colours = len(COLOURS) if name in REFERENCES else len(COLOURS) - 1
        free = [s for s in STYLES[:colours] if s not in styles.values()]
        free = free or [s for s in STYLES if s not in styles.values()] or list(STYLES)
        styles[name] = free[zlib.crc32(str(name).encode()) % len(free)]
    rest = sorted({agent[1:] for agent in agents}, key=str)
    if len(rest) < 2:
        return {agent: styles[agent[0]] for agent in agents}
    return {a: (styles[a[0]][0], STYLES[rest.index(a[1:]) % len(STYLES)][1]) for a in agents}


def dashes_of(marker: str) -> Any:
    """The line style of the curve whose points have that marker."""
    return DASHES[MARKERS.index(marker) % len(DASHES)]


@dataclass(frozen=True)
class Group:
    """Agents that stand together, under a heading or none."""

    heading: str
    """The model, shortened, where variants were played by several models; else empty."""
    agents: tuple[Agent, ...]


@dataclass(frozen=True)
class Lineup:
    """The agents of a figure or table: in which order and groups, and under which names."""

    keys: tuple[str, ...]
    groups: tuple[Group, ...]
    models: Mapping[str, str]
    """The models' short names by their full ones."""
    of_one_variant: bool
    """Whether the agents differ by model or settings alone."""

    @cached_property
    def agents(self) -> list[Agent]:
        """All of them, in order."""
        return [agent for group in self.groups for agent in group.agents]

    @property
    def is_grouped(self) -> bool:
        """Whether there are headings."""
        return any(group.heading for group in self.groups)

    def label(self, agent: Agent, width: int = 26) -> str:
        """The agent's name in its group, in lines of at most `width` characters: its variant, model and
        settings, but for what the heading or the caption says."""
        names = list(self._names(agent, variant=not self.of_one_variant, model=not self.is_grouped))
        return plain("\n".join(fold(name, width) for name in names))

    def tag(self, agent: Agent) -> str:
        """The agent's name beside its point: its variant or, where its colour or the caption tells that, its
        model, and settings."""
        by_model = self.is_grouped or self.of_one_variant
        return plain(fold(", ".join(self._names(agent, variant=not by_model, model=by_model)), 30))

    def name(self, agent: Agent) -> str:
        """The agent in one line, its model shortened."""
        return ", ".join(self._names(agent, variant=True, model=True))

    def _names(self, agent: Agent, *, variant: bool, model: bool) -> Iterator[str]:
        if agent[0] in REFERENCES:
            yield agent[0]
            return
        for key, value in zip(self.keys, agent, strict=True):
            if key == "variant":
                if variant or len(agent) == 1:
                    yield str(value)
            elif key == "model":
                if model:
                    yield self.models[value]
            else:
                yield f"{key} {str(value)[:12]}"


def lineup(rows: pd.DataFrame, keys: Sequence[str]) -> Lineup:
    """The agents among the rows: between random actions and the expert, model by model where variants were
    played by several models, and within a model the four variants, then others. Whatever the order of the
    rows."""
    rank = {name: i for i, name in enumerate(DEFAULT_VARIANTS)}
    agents = {tuple(values) for values in rows[list(keys)].itertuples(index=False)}
    place = list(keys).index("model") if "model" in keys else None
    models = {} if place is None else short_names(str(a[place]) for a in agents if a[0] not in REFERENCES)

    def order(agent: Agent) -> tuple[Any, ...]:
        names = [models.get(value, str(value)) for value in agent]
        return rank.get(agent[0], len(rank)), *map(str.lower, names), *map(str, agent)

    ordered = sorted(agents, key=order)
    players = [agent for agent in ordered if agent[0] not in REFERENCES]
    groups = [Group("", tuple(players))]
    if place is not None and _are_crossed([(agent[0], agent[place]) for agent in players]):
        by_heading: dict[str, list[Agent]] = {}
        for agent in sorted(players, key=lambda agent: (models[agent[place]].lower(), models[agent[place]])):
            by_heading.setdefault(models[agent[place]], []).append(agent)
        groups = [Group(heading, tuple(members)) for heading, members in by_heading.items()]
    for name, at in ((RANDOM, 0), (EXPERT, len(groups) + 1)):
        groups.insert(at, Group("", tuple(agent for agent in ordered if agent[0] == name)))
    return Lineup(
        keys=tuple(keys),
        groups=tuple(group for group in groups if group.agents),
        models=models,
        of_one_variant=len(players) > 1 and len({agent[0] for agent in players}) == 1,
    )


def _are_crossed(pairs: Sequence[tuple[Any, Any]]) -> bool:
    """Whether, of these pairs of variant and model, neither tells the other."""
    variants, models = ({pair[i] for pair in pairs} for i in (0, 1))
    return len(set(pairs)) > max(len(variants), len(models)) and min(len(variants), len(models)) > 1
