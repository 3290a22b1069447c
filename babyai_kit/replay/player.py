"""The HTML player of an episode: one self-contained page, and that page inside another."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from markupsafe import Markup

from babyai_kit.pages import data_uri, frame, json_block, page, part, policy, script
from babyai_kit.replay.captions import about
from babyai_kit.replay.tiles import NAMES, level_tiles, picture, png, sheet, view_tiles
from babyai_kit.replay.view import View, replayed_view
from babyai_kit.replay.world import WorldData, states
from babyai_kit.runs.trajectories import Trajectory

HEIGHT, TALL_HEIGHT = 450, 680
"""Pixels of a player in another page until it tells its own: with level and view side by side, or one below
the other."""
PRINTED_CELL = 18
"""Pixels of a cell on paper."""
MAX_SIDE_BY_SIDE = 8
"""Cells of the widest level that has room beside the view."""
SCRIPTS = "world.js", "player.js"
OF_EPISODE = "outcome", "outcomeText", "failure", "fatal", "maxSteps", "world", "lastObservation"
OF_STEP = "observation", "thinking", "answer", "action", "valid", "reward"
OF_CALL = "inputTokens", "outputTokens", "seconds"
"""What the player shows of an episode and its steps."""


def player_policy() -> str:
    """The Content-Security-Policy under which players run; a page around them needs the same."""
    return policy(*map(script, (*SCRIPTS, "frames.js")))


def player(trajectory: Trajectory) -> str:
    """The whole page. Raises JournalError where the trajectory does not replay."""
    return _page(trajectory, replayed_view(trajectory, way=False))


def framed(trajectory: Trajectory) -> Markup:
    """The page inside another page, isolated from it and from other players there; as high as it needs where
    the outer page has the script frames.js. Raises likewise."""
    view = replayed_view(trajectory, way=False)
    height = HEIGHT if view["world"]["width"] <= MAX_SIDE_BY_SIDE else TALL_HEIGHT
    return frame(_page(trajectory, view), f"Replay: {about(trajectory)}", height)


def printed(trajectory: Trajectory) -> Markup:
    """The episode for paper: the level at the start, and the actions. Raises likewise."""
    view = replayed_view(trajectory, way=False)
    runs = [(action, len(list(same))) for action, same in groupby(step["action"] for step in view["steps"])]
    actions = ", ".join(action if times == 1 else f"{action} ({times})" for action, times in runs)
    first = next(states(view["world"]))
    level = data_uri(png(picture(level_tiles(first), first.width)), "image/png")
    return Markup(
        "<div class='printed'><p><strong>{}</strong> {}</p>"
        "<img src='{}' width='{}' alt='The level at the start'><p>{}: {}.</p><p>{}.</p></div>"
    ).format(
        view["mission"],
        about(trajectory),
        level,
        PRINTED_CELL * first.width,
        "Action" if len(view["steps"]) == 1 else "Actions",
        actions or "none",
        view["outcomeText"],
    )


def _page(trajectory: Trajectory, view: View) -> str:
    steps = [
        {name: step[name] for name in (*OF_STEP, *OF_CALL) if step[name] is not None}
        for step in view["steps"]
    ]
    episode: dict[str, Any] = {name: view[name] for name in OF_EPISODE}
    return page(
        "player.html",
        mission=view["mission"],
        outcome=view["outcome"],
        about=about(trajectory),
        model_note=view["note"],
        policy=player_policy(),
        style=part("player.css"),
        scripts=list(map(script, SCRIPTS)),
        episode=json_block(episode | {"steps": steps, "tiles": sheet(_shown(view["world"]))}),
    )


def _shown(world: WorldData) -> list[str]:
    """The tiles that the world shows at some time, in the order of the sheet."""
    names = {name for state in states(world) for name in (*level_tiles(state), *view_tiles(state))}
    return [name for name in NAMES if name in names]
