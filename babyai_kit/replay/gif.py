"""The animated GIF of a film: pictures above, words below, a frame per scene.

Knows Pillow; its colours are those of the tiles and some greys, so that tiles lose nothing.
"""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from babyai_kit.hostile_text import shown
from babyai_kit.replay.film import Film, Scene
from babyai_kit.replay.words import about, ending, not_llm

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
    palette = _palette(film)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in _frames(film)]
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="gif",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()


def _frames(film: Film) -> list[Image.Image]:
    grid_width, view_width = (part.shape[1] * TILE for part in (film.scenes[0].grid, film.scenes[0].view))
    width = max(3 * GAP + grid_width + view_width, LEAST_WIDTH)
    columns = int((width - 2 * GAP) / (0.6 * SIZE))
    told = [_lines(scene.observation, columns) for scene in film.scenes]
    thought = [_lines((scene.step and scene.step.thinking) or "", columns) for scene in film.scenes]
    high = GAP + film.scenes[0].grid.shape[0] * TILE + GAP
    rows = [max(map(len, told)), max(map(len, thought))]
    below = [line for line in (about(film.trajectory), not_llm(film.trajectory)) if line]
    height = high + LINE * (2 + sum(rows) + len(below)) + 3 * GAP
    regular, bold = (
        ImageFont.truetype(str(FONTS / name), SIZE) for name in ("DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf")
    )
    small = ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), SIZE - 2)
    frames = []
    for index, scene in enumerate(film.scenes):
        frame = Image.new("RGB", (width, height), "white")
        frame.paste(Image.fromarray(film.picture(scene.grid)), (GAP, GAP))
        frame.paste(Image.fromarray(film.picture(scene.view)), (2 * GAP + grid_width, GAP))
        pen = ImageDraw.Draw(frame)
        y = high
        pen.text((GAP, y), film.mission, fill="black", font=bold)
        y += LINE + GAP // 2
        _write(pen, y, told[index], regular, "#404040")
        y += LINE * rows[0] + GAP // 2
        _write(pen, y, thought[index], regular, "#707070")
        y += LINE * rows[1] + GAP // 2
        pen.text((GAP, y), _deed(film, scene, index), fill="black", font=bold)
        y += LINE + GAP // 2
        _write(pen, y, below, small, "#707070")
        frames.append(frame)
    return frames


def _write(
    pen: ImageDraw.ImageDraw, y: int, lines: list[str], font: ImageFont.FreeTypeFont, colour: str
) -> None:
    for number, line in enumerate(lines):
        pen.text((GAP, y + number * LINE), line, fill=colour, font=font)


def _deed(film: Film, scene: Scene, index: int) -> str:
    if scene.step is None:
        return ending(film.trajectory)
    answer = "" if scene.step.valid else " (invalid answer)"
    return f"{index + 1}: {scene.step.action}{answer}"


def _lines(text: str, columns: int) -> list[str]:
    lines = [piece for line in shown(text).split("\n") for piece in textwrap.wrap(line, columns)]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], "..."]


def _palette(film: Film) -> Image.Image:
    """An image whose palette are the tiles' colours and greys."""
    colours = np.unique(film.tiles.reshape(-1, 3), axis=0)
    if len(colours) > 256 - GREYS:
        sheet = Image.fromarray(film.tiles.reshape(-1, *film.tiles.shape[2:]))
        few = sheet.quantize(256 - GREYS, dither=Image.Dither.NONE).getpalette() or []
        colours = np.array(few, np.uint8).reshape(-1, 3)
    greys = np.linspace(0, 255, GREYS).astype(np.uint8)[:, None].repeat(3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([colours, greys]).tobytes())
    return palette
