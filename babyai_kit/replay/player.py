"""The HTML player of a film: one self-contained page, and that page inside another."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from babyai_kit.hostile_text import visible
from babyai_kit.pages import data_uri, frame, json_block, page, part, policy
from babyai_kit.replay.captions import about, failure_text, fatal_step, model_note, outcome_text
from babyai_kit.replay.film import Film, Pixels, Scene

TILE = 32
HEIGHT, TALL_HEIGHT = 450, 680
"""Pixels of a player in another page until it tells its own: with level and view side by side, or one below
the other."""
PRINTED_CELL = 18
"""Pixels of a cell on paper."""
MAX_SIDE_BY_SIDE = 8
"""Cells of the widest level that has room beside the view."""


def player_policy() -> str:
    """The Content-Security-Policy under which players run; a page around them needs the same."""
    return policy(part("player.js"), part("frames.js"))


def player(film: Film) -> str:
    """The whole page."""
    trajectory = film.trajectory
    return page(
        "player.html",
        mission=film.mission,
        outcome=trajectory.outcome,
        about=about(trajectory),
        model_note=model_note(trajectory),
        policy=player_policy(),
        style=part("player.css"),
        script=part("player.js"),
        episode=json_block(
            {
                "tile": film.tiles.shape[1],
                "width": film.scenes[0].grid.shape[1],
                "limit": film.max_steps,
                "fatal": fatal_step(trajectory),
                "sheet": data_uri(_png(legible(film.tiles)), "image/png"),
                "scenes": [_scene(film, scene) for scene in film.scenes],
            }
        ),
    )


def framed(film: Film) -> Markup:
    """The page inside another page, isolated from it and from other players there; as high as it needs where
    the outer page has the script frames.js."""
    height = HEIGHT if film.scenes[0].grid.shape[1] <= MAX_SIDE_BY_SIDE else TALL_HEIGHT
    return frame(player(film), f"Replay: {about(film.trajectory)}", height)


def printed(film: Film) -> Markup:
    """The episode for paper: the level at the start, and the actions."""
    steps = [scene.step for scene in film.scenes if scene.step is not None]
    runs = [(action, len(list(same))) for action, same in groupby(step.action for step in steps)]
    actions = ", ".join(action if times == 1 else f"{action} ({times})" for action, times in runs)
    tiles = replace(film, tiles=legible(film.tiles))
    picture = data_uri(_png(tiles.picture(film.scenes[0].grid)[None]), "image/png")
    return Markup(
        "<div class='printed'><p><strong>{}</strong> {}</p>"
        "<img src='{}' width='{}' alt='The level at the start'><p>{}: {}.</p><p>{}.</p></div>"
    ).format(
        visible(film.mission),
        about(film.trajectory),
        picture,
        PRINTED_CELL * film.scenes[0].grid.shape[1],
        "Action" if len(steps) == 1 else "Actions",
        actions or "none",
        outcome_text(film.trajectory),
    )


def _scene(film: Film, scene: Scene) -> dict[str, Any]:
    step = scene.step
    content: dict[str, Any] = {
        "grid": scene.grid.ravel().tolist(),
        "view": scene.view.ravel().tolist(),
        "observation": scene.observation,
    }
    if step is None:
        text = {"action": outcome_text(film.trajectory), "figures": failure_text(film.trajectory)}
        return content | text | {"valid": True, "thinking": None, "answer": None}
    figures = [f"reward {step.reward:.3f}"] if step.reward else []
    if step.input_tokens is not None and step.output_tokens is not None:
        figures.append(f"{step.input_tokens:,} input tokens, {step.output_tokens:,} output tokens")
    figures.append(f"{step.call_s:.2f} s")
    return content | {
        "action": step.action,
        "valid": step.valid,
        "thinking": None if step.thinking is None else visible(step.thinking),
        "answer": None if step.answer is None else visible(step.answer),
        "figures": ", ".join(figures),
    }


def legible(tiles: Pixels) -> Pixels:
    """The tiles with blue made lighter, by a third of the way to white: minigrid's blue is darker on black
    than 3:1, which the guidelines for accessible content (WCAG 2.1, 1.4.11) ask of graphics."""
    red, green, blue = (tiles[..., i].astype(float) for i in range(3))
    is_blue = (blue > 60) & (blue > 1.5 * np.maximum(red, green))
    lighter = tiles + 0.35 * (255.0 - tiles) * (blue / 255)[..., None]
    return np.where(is_blue[..., None], lighter.round(), tiles).astype(np.uint8)


def _png(tiles: Pixels) -> bytes:
    """The pictures, one below the other; with a palette where that loses nothing."""
    sheet = tiles.reshape(-1, *tiles.shape[2:])
    colours, numbers = np.unique(sheet.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) <= 256:
        image = Image.fromarray(numbers.reshape(sheet.shape[:2]).astype(np.uint8), mode="P")
        image.putpalette(colours.tobytes())
    else:
        image = Image.fromarray(sheet)
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
