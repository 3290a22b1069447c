"""Minigrid's tiles on one sheet, and which of them a state of the world shows.

A tile is named by what its cell holds, whether it is lit, and the agent's direction if it stands there:
"key red|1|", "wall|0|", "|1|3". Minigrid takes seconds to draw them all, so the sheet ships with the kit; a
test compares it with minigrid. `python -m babyai_kit.replay.tiles` draws it anew.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Door, Key, Wall, WorldObj
from numpy.typing import NDArray
from PIL import Image

from babyai_kit.environment.layout import COLORS
from babyai_kit.environment.text import VIEW_AHEAD, VIEW_ASIDE, VIEW_SIZE
from babyai_kit.pages import data_uri
from babyai_kit.replay.world import State, code_of

Pixels = NDArray[np.uint8]

TILE = 32
"""Pixels of a tile's side on the sheet."""
SHEET = files("babyai_kit.pages").joinpath("tiles.png")
UP = 3
"""The agent's direction in its own view."""
DOORS = (True, False), (False, False), (False, True)
"""Open, closed, locked: (is_open, is_locked)."""
OBJECTS: dict[str, WorldObj] = {
    code_of(obj): obj
    for obj in [
        Wall(),
        *(kind(color) for color in COLORS for kind in (Key, Ball, Box)),
        *(Door(color, is_open, is_locked) for color in COLORS for is_open, is_locked in DOORS),
    ]
}
"""Whatever a cell of a BabyAI level may hold."""


def _name(code: str, *, lit: bool, direction: int | None = None) -> str:
    return f"{code}|{int(lit)}|{'' if direction is None else direction}"


def _all() -> tuple[str, ...]:
    """Every tile that a level or a view can show."""
    bare = [_name(code, lit=lit) for code in ("", *OBJECTS) for lit in (False, True)]
    below_agent = ["", *(code for code in OBJECTS if code.endswith(" open"))]
    carried = [code for code, obj in OBJECTS.items() if obj.can_pickup()]
    agents = [_name(code, lit=True, direction=d) for code in below_agent for d in range(4)]
    return (*bare, *agents, *(_name(code, lit=True, direction=UP) for code in carried))


NAMES = _all()
"""Every tile, in the order of the sheet."""


def level_tiles(state: State) -> list[str]:
    """The tiles of the whole level, row by row; what the agent sees is lit."""
    seen = {state.square(number) for number, sign in enumerate(state.seen) if sign == "1"}
    agent = state.at[1] * state.width + state.at[0]
    return [
        _name(code, lit=i in seen, direction=state.direction if i == agent else None)
        for i, code in enumerate(state.cells)
    ]


def view_tiles(state: State) -> list[str]:
    """The tiles of the agent's view, row by row: it looks up, and holds what it carries."""
    tiles = []
    for number, sign in enumerate(state.seen):
        cell = state.square(number)
        if number == VIEW_AHEAD * VIEW_SIZE + VIEW_ASIDE:
            tiles.append(_name(state.carrying or "", lit=True, direction=UP))
        elif sign == "0":
            tiles.append(_name("", lit=False))
        else:
            tiles.append(_name("wall" if cell is None else state.cells[cell], lit=True))
    return tiles


def picture(tiles: Iterable[str], width: int, size: int = TILE) -> Pixels:
    """The picture [height * size, width * size, 3] of tiles given row by row, `width` in a row."""
    pixels = np.array([tile(name, size) for name in tiles])
    rows = pixels.reshape(-1, width, size, size, 3)
    return rows.swapaxes(1, 2).reshape(-1, width * size, 3)


def tile(name: str, size: int = TILE) -> Pixels:
    """One tile [size, size, 3], RGB."""
    return _shipped()[name] if size == TILE else _drawn(name, size)


def png(pixels: Pixels) -> bytes:
    """A picture as PNG; with a palette where that loses nothing."""
    colours, numbers = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) <= 256:
        image = Image.fromarray(numbers.reshape(pixels.shape[:2]).astype(np.uint8))
        image.putpalette(colours.tobytes())
    else:
        image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def sheet(names: Iterable[str] = NAMES) -> dict[str, object]:
    """{size, index, sheet} as world.js wants it: these tiles one below the other, a PNG as an address, and
    the place of each by name."""
    names = list(names)
    index = {name: number for number, name in enumerate(names)}
    return {"size": TILE, "index": index, "sheet": data_uri(png(picture(names, 1)), "image/png")}


def tiles_js() -> str:
    """The script tiles.js: all tiles, for the pages that load them once."""
    return f'"use strict";\n(globalThis.kit ??= {{}}).tiles = {json.dumps(sheet())};\n'


def legible(pixels: Pixels) -> Pixels:
    """A picture with blue made lighter, by a third of the way to white: minigrid's blue is darker on black
    than 3:1, which the guidelines for accessible content (WCAG 2.1, 1.4.11) ask of graphics."""
    red, green, blue = (pixels[..., i].astype(float) for i in range(3))
    is_blue = (blue > 60) & (blue > 1.5 * np.maximum(red, green))
    lighter = pixels + 0.35 * (255.0 - pixels) * (blue / 255)[..., None]
    return np.where(is_blue[..., None], lighter.round(), pixels).astype(np.uint8)


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Pixels]:
    with Image.open(io.BytesIO(SHEET.read_bytes())) as image:
        pixels = np.asarray(image.convert("RGB"))
    return dict(zip(NAMES, pixels.reshape(-1, TILE, TILE, 3), strict=True))


@lru_cache(maxsize=1024)
def _drawn(name: str, size: int) -> Pixels:
    """The tile as minigrid draws it, but for its blue."""
    code, lit, direction = name.split("|")
    obj = OBJECTS[code] if code else None
    drawn = Grid.render_tile(obj, int(direction) if direction else None, lit == "1", size)
    return legible(drawn.astype(np.uint8))  # a level's picture cuts off what is behind the point


if __name__ == "__main__":
    Path(str(SHEET)).write_bytes(png(np.concatenate([_drawn(name, TILE) for name in NAMES])))
