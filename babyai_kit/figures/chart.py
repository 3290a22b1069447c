"""The Figure that the kit makes: shown by Jupyter, and the same bytes for the same table."""

from __future__ import annotations

import io
import textwrap
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from babyai_kit.hostile_text import shown

DPI = 200
WIDTH = 9.0
"""Inches of a full figure: a notebook's width, and shrinks to a page's."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.usetex": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


class Chart(Figure):
    """A Figure that Jupyter shows as a cell's value, whether or not pyplot was ever imported."""

    def png(self) -> bytes:
        """The picture; neither the time nor matplotlib's version is in it."""
        with rc_context(STYLE):
            self.savefig(buffer := io.BytesIO(), format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = self.get_size_inches() * 100
        return self.png(), {"width": round(width), "height": round(height)}


def frame(figure: Figure, title: str, caption: str, watermark: str = "") -> None:
    """Title above, caption below, watermark behind."""
    width = figure.get_size_inches()[0]
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    lines = "\n".join(textwrap.wrap(caption, int(18 * width)))
    figure.supxlabel(plain(lines), x=0.01, ha="left", fontsize=7.5, color="#444444")
    if watermark:
        figure.text(
            *(0.55, 0.55, watermark),
            ha="center",
            va="center",
            rotation=10,
            fontsize=4 * width * min(1.0, 30 / len(watermark)),
            color="#777777",
            alpha=0.25,
            zorder=-1,
        )


def words(text: str) -> Chart:
    """A figure that says in words why there is nothing to draw."""
    figure = Chart(figsize=(WIDTH, 1.8), layout="constrained")
    lines = "\n".join(textwrap.wrap(text, 80))
    figure.text(0.5, 0.5, plain(lines), ha="center", va="center", fontsize=12)
    return figure


def plain(text: str) -> str:
    """Text as it stands: a dollar sign starts no formula, and what has no picture is shown by a sign."""
    return shown(text).replace("$", r"\$")


def picture(pixels: NDArray[np.uint8]) -> Chart:
    """`pixels` [height, width, 3], such as `env.render()`, as a figure without axes."""
    height, width = pixels.shape[:2]
    figure = Chart(figsize=(3, 3 * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels)
    axes.set_axis_off()
    return figure
