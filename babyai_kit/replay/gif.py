"""The animated GIF of an episode: level and view above, text below, a frame per moment.

Its colours are those of the tiles and some greys, so that tiles lose nothing.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from babyai_kit.environment.text import VIEW_SIZE
from babyai_kit.hostile_text import visible
from babyai_kit.replay.captions import about
from babyai_kit.replay.tiles import Pixels, level_tiles, tile, view_tiles
from babyai_kit.replay.view import View, replayed_view
from babyai_kit.replay.world import states
from babyai_kit.runs.trajectories import Trajectory

Scene = tuple[Sequence[str], Sequence[str]]
"""The tiles of level and view."""

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
_MATPLOTLIB = find_spec("matplotlib")
assert _MATPLOTLIB is not None
assert _MATPLOTLIB.origin is not None
FONTS = Path(_MATPLOTLIB.origin).parent / "mpl-data" / "fonts" / "ttf"
"""Matplotlib's, which is not imported for them: the viewer reads replays and draws no figure."""
MONO, BOLD, SMALL = (
    ("DejaVuSansMono.ttf", FONT_SIZE),
    ("DejaVuSans-Bold.ttf", FONT_SIZE),
    ("DejaVuSans.ttf", FONT_SIZE - 2),
)
BLACK, DARK, LIGHT = 0, 64, 112


def gif(trajectory: Trajectory) -> bytes:
    """An endless GIF; it rests at the end. Raises JournalError where the trajectory does not replay."""
    view = replayed_view(trajectory, way=False)
    scenes = [(level_tiles(state), view_tiles(state)) for state in states(view["world"])]
    names = dict.fromkeys(name for scene in scenes for tiles in scene for name in tiles)
    colours, tiles = _colours(np.array([tile(name, TILE) for name in names]))
    shown = _Tiles(dict(zip(names, tiles, strict=True)), len(colours))
    frames = [_frame_image(pixels, colours) for pixels in _frames(about(trajectory), view, scenes, shown)]
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


@dataclass(frozen=True)
class _Tiles:
    """Tiles whose pixels are numbers of colours."""

    by_name: Mapping[str, Pixels]
    """Each [TILE, TILE]."""
    first_grey: int
    """The number after that of the last colour."""

    def picture(self, names: Sequence[str], width: int) -> Pixels:
        pixels = np.array([self.by_name[name] for name in names]).reshape(-1, width, TILE, TILE)
        return pixels.swapaxes(1, 2).reshape(-1, width * TILE)


def _colours(tiles: Pixels) -> tuple[Pixels, Pixels]:
    """At most 256 - GREYS colours [n, 3] of `tiles` [tiles, size, size, 3], and these as numbers of them."""
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


def _frames(about: str, view: View, scenes: Sequence[Scene], tiles: _Tiles) -> Iterator[Pixels]:
    """Per scene, the numbers of its colours: of the tiles, and of greys after them."""
    cells_wide, cells_high = view["world"]["width"], view["world"]["height"]
    level_width, view_width = cells_wide * TILE, VIEW_SIZE * TILE
    text_top = GAP + max(cells_high * TILE, view_width) + GAP
    width = max(3 * GAP + level_width + view_width, MIN_WIDTH)
    columns = int((width - 2 * GAP) / (0.6 * FONT_SIZE))
    mission = _lines(view["mission"], columns - 4)
    closing = [*_lines(about, columns + 12), *_lines(view["note"], columns)]
    label = view["failure"]["label"] if view["failure"] else ""
    texts = [
        (
            _lines(step["observation"], columns),
            _lines(step["thinking"] or "", columns),
            [f"{number}: {step['action']}{'' if step['valid'] else ' (invalid answer)'}"],
        )
        for number, step in enumerate(view["steps"], start=1)
    ]
    end = [*_lines(view["outcomeText"], columns - 6), *_lines(label, columns - 6)]
    texts.append((_lines(view["lastObservation"], columns), [], end))
    # Each part takes the room of its longest text, so that nothing moves from frame to frame.
    rows = [max(map(len, parts)) for parts in zip(*texts, strict=True)]
    height = text_top + LINE * (len(mission) + sum(rows) + len(closing)) + 3 * GAP
    for (level, seen), (observation, thinking, action) in zip(scenes, texts, strict=True):
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
        pixels = (np.asarray(page) // (256 // GREYS) + tiles.first_grey).astype(np.uint8)
        for names, in_a_row, left in ((level, cells_wide, GAP), (seen, VIEW_SIZE, 2 * GAP + level_width)):
            picture = tiles.picture(names, in_a_row)
            pixels[GAP : GAP + picture.shape[0], left : left + picture.shape[1]] = picture
        yield pixels


def _write(page: Image.Image, top: int, lines: list[str], font: tuple[str, int], grey: int) -> None:
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((GAP, top + number * LINE), line, fill=grey, font=_font(*font))


@lru_cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONTS / name), size)


def _lines(text: str, columns: int) -> list[str]:
    lines = [piece for line in visible(text).split("\n") for piece in textwrap.wrap(line, columns)]
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], "..."]
