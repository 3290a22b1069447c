"""The rows of a figure: which agents there are, in which order, under which name, colour and marker.

An agent is a variant, together with its model or other settings where these differ. Colours are Okabe and
Ito's (2008), safe for colour-blind readers; markers differ too, so that a figure reads in grey.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import pandas as pd

from babyai_kit.environment import TASKS
from babyai_kit.figures.chart import fold, plain
from babyai_kit.runs.plan import DEFAULT_VARIANTS
from babyai_kit.runs.references import EXPERT, RANDOM
from babyai_kit.stats import ALL_TASKS, groups

Agent = tuple[Any, ...]
"""The values of the columns that name an agent; the variant comes first."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#7F7F7F")
MARKERS = "os^DvPXp<>hd*8H"
STYLES = tuple((COLOURS[i % len(COLOURS)], marker) for i, marker in enumerate(MARKERS))
"""The four variants'; then those that others get by their name; then a second use of the colours."""
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
    whatever the order of the rows."""
    rank = {name: i for i, name in enumerate(DEFAULT_VARIANTS)}
    others = len(rank)
    rank |= {RANDOM: -1, EXPERT: others + 1}
    agents = {tuple(values) for values in rows[list(keys)].itertuples(index=False)}
    return sorted(agents, key=lambda agent: (rank.get(agent[0], others), *map(str, agent)))


def rows_by_agent(table: pd.DataFrame, keys: Sequence[str]) -> dict[Agent, dict[Any, Any]]:
    """The rows of a table that has one for each agent."""
    return {tuple(row[key] for key in keys): row for row in table.to_dict("records")}


def rows_of(table: pd.DataFrame, keys: Sequence[str], agent: Agent) -> pd.DataFrame:
    """The rows of one agent."""
    for key, value in zip(keys, agent, strict=True):
        table = table[table[key] == value]
    return table


def tasks_of(rows: pd.DataFrame) -> list[str]:
    """The tasks among the rows: ALL_TASKS first, then BALROG's five in their order, then others."""
    names = set(rows["task"])
    tasks = [task for task in (ALL_TASKS, *TASKS) if task in names]
    return tasks + sorted(names - set(tasks))


def name_of(agent: Agent) -> str:
    """The agent in one line."""
    return ", ".join(map(str, agent))


def styles_of(agents: Sequence[Agent]) -> dict[Agent, tuple[str, str]]:
    """Colour and marker of each agent.

    By the variant's name, so that both stay when other variants are drawn (unless two names collide).
    Where agents differ by more than the variant, the colour tells the variant and the marker the rest.
    """
    styles = dict(zip(DEFAULT_VARIANTS, STYLES, strict=False))
    for name in sorted({agent[0] for agent in agents} - set(DEFAULT_VARIANTS)):
        free = [s for s in STYLES[: len(COLOURS)] if s not in styles.values()]
        free = free or [s for s in STYLES if s not in styles.values()] or list(STYLES)
        styles[name] = free[zlib.crc32(str(name).encode()) % len(free)]
    rest = sorted({agent[1:] for agent in agents}, key=str)
    if len(rest) < 2:
        return {agent: styles[agent[0]] for agent in agents}
    return {a: (styles[a[0]][0], STYLES[rest.index(a[1:]) % len(STYLES)][1]) for a in agents}


def dashes_of(marker: str) -> Any:
    """The line style of the curve whose points have that marker."""
    return DASHES[MARKERS.index(marker) % len(DASHES)]


def label_of(agent: Agent, keys: Sequence[str]) -> str:
    """Row label: the variant, below it the other settings that tell agents apart."""
    lines = []
    for key, value in zip(keys, agent, strict=True):
        text = str(value) if key in ("variant", "model") else f"{key} {str(value)[:12]}"
        lines.append(fold(text, 26))
    return plain("\n".join(lines))
