"""Where the rows of a figure stand: agents under their model's heading, names of several lines included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from babyai_kit.figures.agents import Agent, Lineup
from babyai_kit.figures.chart import fold, plain

FOLD = 26
"""Characters of a row's name in one line."""
SEPARATOR = "#DDDDDD"


@dataclass
class Rows:
    """Heights from the top, in about one line's."""

    headings: list[tuple[float, str]] = field(default_factory=list)
    """Of tasks and models."""
    agents: dict[tuple[str, Agent], float] = field(default_factory=dict)
    """By task (or an empty text) and agent."""
    labels: list[tuple[float, str]] = field(default_factory=list)
    """The agents' names."""
    borders: list[float] = field(default_factory=list)
    """Between groups."""
    end: float = 0.0

    def add(self, name: str) -> float:
        """The middle of one more name."""
        half = 0.1 + 0.43 * (1 + name.count("\n"))
        self.end += 2 * half
        return self.end - half

    def label(self, axes: Axes) -> None:
        """Set the axes' range, and write the names, headings in bold."""
        axes.set_ylim(self.end, 0)
        axes.tick_params(axis="y", length=0, pad=6)
        named = sorted([*self.headings, *self.labels])
        axes.set_yticks([y for y, _ in named], [text for _, text in named])
        bold = {y for y, _ in self.headings}
        for (y, _), tick in zip(named, axes.get_yticklabels(), strict=False):  # without hidden ones
            tick.set_fontweight("bold" if y in bold else "normal")
        for y in self.borders:
            axes.axhline(y, color=SEPARATOR, linewidth=0.8, zorder=0, gid="border")


def rows_for(agents: Lineup, tasks: Iterable[str] = ("",)) -> Rows:
    """The agents, group by group; for each of the tasks, if there are any, under its name."""
    rows = Rows()
    for task in tasks:
        if task:
            heading = plain(fold(task, FOLD))
            rows.headings.append((rows.add(heading), heading))
        for i, group in enumerate(agents.groups):
            if i and agents.is_grouped:
                rows.borders.append(rows.end)
            if group.heading:
                heading = plain(fold(group.heading, FOLD))
                rows.headings.append((rows.add(heading), heading))
            for agent in group.agents:
                label = agents.label(agent, FOLD)
                place = rows.add(label)
                rows.agents[task, agent] = place
                rows.labels.append((place, label))
    return rows
