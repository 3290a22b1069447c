"""The animated GIF of a film: pictures above, text below, a frame per scene.

Its colours are those of the tiles and some greys, so that tiles lose nothing.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from babyai_kit.hostile_text import visible
from babyai_kit.replay.captions import about, failure_text, model_note, outcome_text
from babyai_kit.replay.film import Film, Pixels, Scene

TILE = 24
GAP = 12
MIN_WIDTH = 460
FRAME_MS, LAST_FRAME_MS = 450, 3000
FONT_SIZE = 13
LINE = 17
"""Pixels from line to line."""
MAX_LINES = 6
"""Longer observations and thoughts are cut off, with three dots."""
GREYS = 32
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
MONO, BOLD, SMALL = (
    ("DejaVuSansMono.ttf", FONT_SIZE),
    ("DejaVuSans-Bold.ttf", FONT_SIZE),
    ("DejaVuSans.ttf", FONT_SIZE - 2),
)
BLACK, DARK, LIGHT = 0, 64, 112


def gif(film: Film) -> bytes:
    """An endless GIF; it rests at the end."""
    colours, tiles = _colours(film)
    frames = [_frame_image(pixels, colours) for pixels in _frames(replace(film, tiles=tiles), len(colours))]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "gif",
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS],
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()


def _colours(film: Film) -> tuple[Pixels, Pixels]:
    """At most 256 - GREYS colours [n, 3], and the tiles as numbers of them."""
    tiles = film.tiles
    colours, numbers = np.unique(tiles.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) > 256 - GREYS:
        reduced = Image.fromarray(tiles.reshape(-1, *tiles.shape[2:])).quantize(256 - GREYS)
        colours = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
        numbers = np.asarray(reduced)
    return colours, numbers.reshape(tiles.shape[:3]).astype(np.uint8)


def _frame_image(pixels: Pixels, colours: Pixels) -> Image.Image:
    """`pixels` [height, width]: numbers of colours or, from len(colours) on, of greys."""
    greys = np.linspace(0, 255, GREYS).astype(np.uint8)[:, None].repeat(3, axis=1)
    image = Image.fromarray(pixels)
    image.putpalette(np.concatenate([colours, greys]).tobytes())
    return image


def _frames(film: Film, first_grey: int) -> Iterator[Pixels]:
    """Per scene, the numbers of its colours: of the tiles, and of greys from `first_grey` on."""
    first = film.scenes[0]
    grid_width, view_width = first.grid.shape[1] * TILE, first.view.shape[1] * TILE
    text_top = GAP + max(first.grid.shape[0] * TILE, view_width) + GAP
    width = max(3 * GAP + grid_width + view_width, MIN_WIDTH)
    columns = int((width - 2 * GAP) / (0.6 * FONT_SIZE))
    mission = _lines(film.mission, columns - 4)
    closing = [*_lines(about(film.trajectory), columns + 12), *_lines(model_note(film.trajectory), columns)]
    texts = [
        (
            _lines(scene.observation, columns),
            _lines((scene.step and scene.step.thinking) or "", columns),
            _action(film, scene, number, columns - 6),
        )
        for number, scene in enumerate(film.scenes, start=1)
    ]
    # Each part takes the room of its longest text, so that nothing moves from frame to frame.
    rows = [max(map(len, parts)) for parts in zip(*texts, strict=True)]
    height = text_top + LINE * (len(mission) + sum(rows) + len(closing)) + 3 * GAP
    for scene, (observation, thinking, action) in zip(film.scenes, texts, strict=True):
        page = Image.new("L", (width, height), 255)
        top = text_top
        for lines, room, font, grey in (
            (mission, len(mission), BOLD, BLACK),
            (observation, rows[0], MONO, DARK),
            (thinking, rows[1], MONO, LIGHT),
            (action, rows[2], BOLD, BLACK),
            (closing, len(closing), SMALL, LIGHT),
        ):
            _write(page, top, lines, font, grey)
            top += LINE * room + GAP // 2
        pixels = (np.asarray(page) // (256 // GREYS) + first_grey).astype(np.uint8)
        for tiles, left in ((scene.grid, GAP), (scene.view, 2 * GAP + grid_width)):
            picture = film.picture(tiles)
            pixels[GAP : GAP + picture.shape[0], left : left + picture.shape[1]] = picture
        yield pixels


def _write(page: Image.Image, top: int, lines: list[str], font: tuple[str, int], grey: int) -> None:
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((GAP, top + number * LINE), line, fill=grey, font=_font(*font))


@lru_cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONTS / name), size)


def _action(film: Film, scene: Scene, number: int, columns: int) -> list[str]:
    """What was done, or how the episode ended."""
    if scene.step is None:
        label = failure_text(film.trajectory).partition(":")[0]
        return [*_lines(outcome_text(film.trajectory), columns), *_lines(label, columns)]
    invalid = "" if scene.step.valid else " (invalid answer)"
    return [f"{number}: {scene.step.action}{invalid}"]


def _lines(text: str, columns: int) -> list[str]:
    lines = [piece for line in visible(text).split("\n") for piece in textwrap.wrap(line, columns)]
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], "..."]
