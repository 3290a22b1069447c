"""An episode's pictures, each tile kept once.

Minigrid draws a picture tile by tile, so a grid of a few dozen different
tiles says the same as all the pictures, in a hundredth of the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babyai_kit.runs.records import StepRecord
from babyai_kit.runs.trajectories import Trajectory

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A moment of an episode: as it was before `step`, or at the end."""

    grid: NDArray[np.int64]
    """[height, width] numbers of tiles: the whole level, what the agent sees of it lit."""
    view: NDArray[np.int64]
    """[7, 7] numbers of tiles: what the agent sees, looking up, from the middle of the lowest row."""
    observation: str
    step: StepRecord | None
    """None at the end."""


@dataclass(frozen=True)
class Film:
    """A trajectory with a scene per step and one at the end."""

    trajectory: Trajectory
    mission: str
    max_steps: int
    tiles: Pixels
    """[tiles, size, size, 3], RGB (or without the last axis, numbers of colours)."""
    scenes: tuple[Scene, ...]

    def picture(self, numbers: NDArray[np.int64]) -> Pixels:
        """The picture [height * size, width * size, ...] of `numbers` [height, width], a grid or view."""
        height, width = numbers.shape
        size, colour = self.tiles.shape[1], self.tiles.shape[3:]
        return self.tiles[numbers].swapaxes(1, 2).reshape(height * size, width * size, *colour)


def film(trajectory: Trajectory, tile_size: int) -> Film:
    """Replay `trajectory` and keep its pictures, with tiles of `tile_size` pixels.

    Raises JournalError if it does not replay.
    """
    sheet = _TileSheet(tile_size)
    scenes = []
    mission, max_steps = "", 0
    for env, step in trajectory.states():
        mission, max_steps = env.mission, env.max_steps
        grid = sheet.add(env.get_frame(highlight=True, tile_size=tile_size))
        view = sheet.add(env.agent_view(tile_size))
        scenes.append(Scene(grid=grid, view=view, observation=env.gen_obs()["text"], step=step))
    return Film(trajectory, mission, max_steps, sheet.pixels(), tuple(scenes))


class _TileSheet:
    """The different tiles of some pictures, numbered from 0."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._numbers: dict[bytes, int] = {}

    def add(self, picture: Pixels) -> NDArray[np.int64]:
        """The numbers of the picture's tiles [height, width]."""
        size = self._size
        height, width = (length // size for length in picture.shape[:2])
        tiles = picture.reshape(height, size, width, size, 3).transpose(0, 2, 1, 3, 4)
        flat = [self._numbers.setdefault(tile.tobytes(), len(self._numbers)) for row in tiles for tile in row]
        return np.array(flat).reshape(height, width)

    def pixels(self) -> Pixels:
        """[tiles, size, size, 3]."""
        shape = (len(self._numbers), self._size, self._size, 3)
        return np.frombuffer(b"".join(self._numbers), np.uint8).reshape(shape)
