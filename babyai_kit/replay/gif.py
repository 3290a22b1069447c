"""The animated GIF of a film: pictures above, words below, a frame per scene.

Knows Pillow; its colours are those of the tiles and some greys, so that tiles lose nothing.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from babyai_kit.hostile_text import visible
from babyai_kit.replay.captions import about, ending, not_llm, way_of_failing
from babyai_kit.replay.film import Film, Pixels, Scene

TILE = 24
GAP = 12
LEAST_WIDTH = 460
FRAME_MS, LAST_MS = 450, 3000
SIZE = 13
LINE = 17
"""Pixels from line to line."""
MOST_LINES = 6
"""Longer observations and thoughts are cut, which three dots say."""
GREYS = 32
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def gif(film: Film) -> bytes:
    """An endless GIF; it rests at the end."""
    colours, tiles = _colours(film)
    frames = [_frame_image(pixels, colours) for pixels in _frames(replace(film, tiles=tiles), len(colours))]
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    buffer = io.BytesIO()
    frames[0].save(
        *(buffer, "gif"), save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True
    )
    return buffer.getvalue()


def _colours(film: Film) -> tuple[Pixels, Pixels]:
    """At most 256 - GREYS colours [n, 3], and the tiles as numbers of them."""
    tiles = film.tiles
    colours, numbers = np.unique(tiles.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) > 256 - GREYS:
        few = Image.fromarray(tiles.reshape(-1, *tiles.shape[2:])).quantize(256 - GREYS)
        colours = np.array(few.getpalette(), np.uint8).reshape(-1, 3)
        numbers = np.asarray(few)
    return colours, numbers.reshape(tiles.shape[:3]).astype(np.uint8)


def _frame_image(pixels: Pixels, colours: Pixels) -> Image.Image:
    """`pixels` [height, width]: numbers of colours or, from len(colours) on, of greys."""
    greys = np.linspace(0, 255, GREYS).astype(np.uint8)[:, None].repeat(3, axis=1)
    image = Image.fromarray(pixels)
    image.putpalette(np.concatenate([colours, greys]).tobytes())
    return image


def _frames(film: Film, first_grey: int) -> Iterator[Pixels]:
    grid_width, view_width = (part.shape[1] * TILE for part in (film.scenes[0].grid, film.scenes[0].view))
    width = max(3 * GAP + grid_width + view_width, LEAST_WIDTH)
    columns = int((width - 2 * GAP) / (0.6 * SIZE))
    told = [_lines(scene.observation, columns) for scene in film.scenes]
    thought = [_lines((scene.step and scene.step.thinking) or "", columns) for scene in film.scenes]
    high = GAP + max(film.scenes[0].grid.shape[0] * TILE, view_width) + GAP
    deeds = [_deed(film, scene, i, columns - 6) for i, scene in enumerate(film.scenes)]
    rows = [max(map(len, lines)) for lines in (told, thought, deeds)]
    mission = _lines(film.mission, columns - 4)
    below = [*_lines(about(film.trajectory), columns + 12), *_lines(not_llm(film.trajectory), columns)]
    height = high + LINE * (len(mission) + sum(rows) + len(below)) + 3 * GAP
    regular, bold = (
        ImageFont.truetype(str(FONTS / name), SIZE) for name in ("DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf")
    )
    small = ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), SIZE - 2)
    for index, scene in enumerate(film.scenes):
        words = Image.new("L", (width, height), 255)
        pen = ImageDraw.Draw(words)
        y = high
        _write(pen, y, mission, bold, 0)
        y += LINE * len(mission) + GAP // 2
        _write(pen, y, told[index], regular, 64)
        y += LINE * rows[0] + GAP // 2
        _write(pen, y, thought[index], regular, 112)
        y += LINE * rows[1] + GAP // 2
        _write(pen, y, deeds[index], bold, 0)
        y += LINE * rows[2] + GAP // 2
        _write(pen, y, below, small, 112)
        pixels = (np.asarray(words) // (256 // GREYS) + first_grey).astype(np.uint8)
        for part, left in ((scene.grid, GAP), (scene.view, 2 * GAP + grid_width)):
            picture = film.picture(part)
            pixels[GAP : GAP + picture.shape[0], left : left + picture.shape[1]] = picture
        yield pixels


def _write(
    pen: ImageDraw.ImageDraw, y: int, lines: list[str], font: ImageFont.FreeTypeFont, grey: int
) -> None:
    for number, line in enumerate(lines):
        pen.text((GAP, y + number * LINE), line, fill=grey, font=font)


def _deed(film: Film, scene: Scene, index: int, columns: int) -> list[str]:
    if scene.step is None:
        class_of_failure = way_of_failing(film.trajectory).partition(":")[0]
        return [*_lines(ending(film.trajectory), columns), *_lines(class_of_failure, columns)]
    answer = "" if scene.step.valid else " (invalid answer)"
    return [f"{index + 1}: {scene.step.action}{answer}"]


def _lines(text: str, columns: int) -> list[str]:
    lines = [piece for line in visible(text).split("\n") for piece in textwrap.wrap(line, columns)]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], "..."]
