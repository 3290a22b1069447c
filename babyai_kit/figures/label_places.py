"""Names beside the points of a scatter plot, so placed that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

TAG = "tag"
"""The id of the texts that name a point."""
FONT_SIZE = 8
MARKER = 5.0
"""Points (1/72 inch) from the middle of a marker that no text enters."""
GAP = 2.0
"""Points between two texts."""
NEAR = 12.0
"""Points up to which a text is seen to belong to its point without a line between them."""
DISTANCES = (7.0, 11.0, 16.0, 23.0, 32.0, 44.0, 58.0, 75.0, 95.0, 120.0, 150.0, 190.0)
DIRECTIONS = 16
LEAD_PLACES = 24
"""At which a line between a text and its point is looked at."""


@dataclass(frozen=True)
class Tag:
    """A text and the point that it names, in data coordinates."""

    text: str
    x: float
    y: float
    colour: str


def place_tags(axes: Axes, tags: Sequence[Tag], lines: Iterable[Bbox] = ()) -> None:
    """Write the tags into the axes, which have been laid out and are not moved afterwards.

    `lines`: boxes, in data coordinates, which texts avoid where there is room elsewhere.
    """
    scale = axes.figure.dpi / 72
    points = axes.transData.transform([(tag.x, tag.y) for tag in tags])
    taken = [_around(x, y, MARKER * scale) for x, y in points]
    avoided = [axes.transData.transform_bbox(box) for box in lines]
    room = axes.get_window_extent()
    texts: list[Bbox] = []
    leads: list[np.ndarray] = []
    for i in sorted(range(len(tags)), key=lambda i: _crowding(points, i)):
        tag, (x, y) = tags[i], points[i]

        def crossings(box: Bbox, x: float = x, y: float = y) -> int:
            """How many lines between a text and its point run over a text, if one is at `box`."""
            lead = _lead(x, y, box, scale)
            over = sum(bool(_inside(lead, text).any()) for text in texts)
            return over + sum(bool(_inside(other, box).any()) for other in leads)

        text = axes.text(0, 0, tag.text, fontsize=FONT_SIZE)
        size = text.get_window_extent()
        text.remove()
        candidates = _candidates(x, y, size.width, size.height, scale)
        box = _best(candidates, taken, avoided, room, GAP * scale, crossings)
        taken.append(box)
        texts.append(box)
        leads.append(_lead(x, y, box, scale))
        axes.annotate(
            tag.text,
            (tag.x, tag.y),
            xytext=((box.x0 - x) / scale, (box.y0 - y) / scale),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=FONT_SIZE,
            color=tag.colour,
            gid=TAG,
            in_layout=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": tag.colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4}
            if len(leads[-1])
            else None,
        )


def _around(x: float, y: float, reach: float) -> Bbox:
    return Bbox([[x - reach, y - reach], [x + reach, y + reach]])


def _lead(x: float, y: float, box: Bbox, scale: float) -> np.ndarray:
    """Places, of shape (n, 2), on the line that ties a text at `box` to its point; none if it is near.

    The line runs towards the middle of the text.
    """
    if np.hypot(*(np.clip((x, y), box.min, box.max) - (x, y))) / scale <= NEAR:
        return np.empty((0, 2))
    places = np.linspace((x, y), ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), LEAD_PLACES)
    return places[~_inside(places, box)]


def _inside(places: np.ndarray, box: Bbox) -> np.ndarray:
    """For each of the `places` whether it is in the box."""
    return np.asarray(np.all((places > box.min) & (places < box.max), axis=1))


def _crowding(points: np.ndarray, i: int) -> float:
    """The distance to the nearest other point: who has least room chooses first."""
    others = np.delete(points, i, axis=0) - points[i]
    return float(np.hypot(*others.T).min()) if len(others) else 0.0


def _candidates(
    x: float, y: float, width: float, height: float, scale: float
) -> Iterator[tuple[float, Bbox]]:
    """Boxes of this size around the point, each with its distance in points: right and left of it first."""
    angles = sorted(2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS, key=lambda a: (abs(np.sin(a)), a))
    for distance in DISTANCES:
        for preference, angle in enumerate(angles):
            dx, dy = np.cos(angle), np.sin(angle)
            left = x + dx * distance * scale - width * (1 - dx) / 2
            bottom = y + dy * distance * scale - height * (1 - dy) / 2
            yield distance + preference / 8, Bbox.from_bounds(left, bottom, width, height)


def _best(
    candidates: Iterable[tuple[float, Bbox]],
    taken: list[Bbox],
    avoided: list[Bbox],
    room: Bbox,
    gap: float,
    crossings: Callable[[Bbox], int],
) -> Bbox:
    """The candidate that covers least and is nearest."""

    def badness(candidate: tuple[float, Bbox]) -> float:
        distance, box = candidate
        wide = box.padded(gap)
        outside = box.width * box.height - _shared(box, room)
        covered = sum(_shared(wide, other) for other in taken)
        crossed = sum(wide.overlaps(other) for other in avoided)
        return (
            100 * (outside > 0.5) * (10 + outside)
            + 100 * (covered > 0) * (10 + covered)
            + 25 * crossed
            + 50 * crossings(box)
            + distance
        )

    return min(candidates, key=badness)[1]


def _shared(one: Bbox, other: Bbox) -> float:
    both = Bbox.intersection(one, other)
    return float(both.width * both.height) if both is not None else 0.0
