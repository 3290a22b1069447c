"""The Figure that the kit makes: shown by Jupyter, and the same bytes for the same table."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy.typing import NDArray

from babyai_kit.hostile_text import visible
from babyai_kit.stats import ALL_TASKS

DPI = 200
WIDTH = 7.0
"""Inches of every figure: small, so that its text is legible where it shrinks to a telephone's width."""
GREY = "#666666"
"""Of what stands in for a missing figure."""
WATERMARK = "watermark"
"""The id of its texts, by which they are told from the others."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.usetex": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


GridAxis = Literal["x", "both"]


class Chart(Figure):
    """A Figure that Jupyter shows as a cell's value, whether or not pyplot was ever imported."""

    def png(self) -> bytes:
        """The picture; neither the time nor matplotlib's version is in it."""
        with rc_context(STYLE):
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()

    def svg(self) -> str:
        """The same as a drawing, whose letters are outlines: it looks alike wherever it is shown."""
        with rc_context({**STYLE, "svg.hashsalt": "babyai", "svg.fonttype": "path"}):
            buffer = io.StringIO()
            self.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return buffer.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = self.get_size_inches() * 100
        return self.png(), {"width": round(width), "height": round(height)}


def frame(figure: Figure, title: str, caption: str, watermark: str = "") -> None:
    """Title above, caption below, watermark behind the data of every panel."""
    width = figure.get_size_inches()[0]
    heading = "\n".join(textwrap.wrap(title, int(10 * width), break_on_hyphens=False))
    figure.suptitle(plain(heading), x=0.01, ha="left", fontsize=11, fontweight="bold")
    lines = "\n".join(textwrap.wrap(caption, int(17 * width), break_on_hyphens=False))
    figure.supxlabel(plain(lines), x=0.01, ha="left", fontsize=7.5, color="#444444")
    if watermark:
        _mark(figure, watermark)


def _mark(figure: Figure, text: str) -> None:
    """`text` inside the axes, so that it crosses no title and no tick label; else on the empty figure."""
    panels = [axes for axes in figure.axes if axes.axison]
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "#777777", "alpha": 0.3, "zorder": -1}
    width = figure.get_size_inches()[0]
    if not panels:
        figure.text(0.5, 0.2, text, gid=WATERMARK, fontsize=12, **style)
    for axes in panels:
        place = axes.get_subplotspec()
        columns = place.get_gridspec().ncols if place else 1
        # What names and figures beside the rows leave of the width, and the width of a character of 1 point.
        points = 72 * width / columns * (0.5 if columns > 1 else 0.38)
        size = min(16.0, points / (0.56 * len(text)))
        axes.text(
            0.5,
            0.5,
            text,
            gid=WATERMARK,
            fontsize=size,
            rotation=6,
            transform=axes.transAxes,
            in_layout=False,
            **style,
        )


def notice(text: str) -> Chart:
    """A figure that says why there is nothing to draw."""
    figure = Chart(figsize=(WIDTH, 1.8), layout="constrained")
    lines = "\n".join(textwrap.wrap(text, 80))
    figure.text(0.5, 0.5, plain(lines), ha="center", va="center", fontsize=12)
    return figure


def panel_grid(number: int) -> tuple[int, int]:
    """Lines and columns of that many panels."""
    columns = 1 if number == 1 else 2
    return math.ceil(number / columns), columns


def add_panels(figure: Figure, grid: GridSpec, tasks: Sequence[str], axis: GridAxis) -> list[Axes]:
    """Empty axes on one scale, one per task (or model) and labelled with it."""
    panels: list[Axes] = []
    for i, task in enumerate(tasks):
        first = panels[0] if panels else None
        axes = figure.add_subplot(grid[divmod(i, grid.ncols)], sharex=first, sharey=first, label=task)
        weight = "bold" if task == ALL_TASKS else "normal"
        axes.set_title(plain(fold(task, 30)), fontsize=9, fontweight=weight)
        axes.tick_params(labelleft=i % grid.ncols == 0)
        add_grid(axes, axis)
        panels.append(axes)
    return panels


def add_grid(axes: Axes, axis: GridAxis) -> None:
    """Light lines behind the data, and no ground, so that the watermark shines through."""
    axes.patch.set_visible(False)
    axes.grid(axis=axis, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def annotate_row(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Small print in the row at `y`; `x` is from 0, the left end of the axes, to 1."""
    place = axes.get_yaxis_transform()
    axes.text(x, y, text, transform=place, va="center", fontsize=7.5, **style)


def dark(colour: str) -> str:
    """`colour` as dark as small text must be on white."""
    red, green, blue = (0.68 * part for part in to_rgb(colour))
    return to_hex((red, green, blue))


def plain(text: str) -> str:
    """Text as it stands: a dollar sign starts no formula, and a control character is shown by a symbol."""
    return visible(text).replace("$", r"\$")


def fold(name: str, width: int) -> str:
    """`name` in lines of at most `width` characters, broken after a space or - _ / : if it has one."""
    lines = [""]
    for part in re.findall(r"[^-_/:\s]*[-_/:\s]|[^-_/:\s]+", " ".join(name.split())):
        for start in range(0, len(part), width):
            piece = part[start : start + width]
            if lines[-1] and len(lines[-1] + piece) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def picture(pixels: NDArray[np.uint8]) -> Chart:
    """`pixels` [height, width, 3], such as `env.render()`, as a figure without axes."""
    height, width = pixels.shape[:2]
    figure = Chart(figsize=(3, 3 * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels)
    axes.set_axis_off()
    return figure
