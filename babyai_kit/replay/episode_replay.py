"""`load_replay`: an episode of a run, found and ready to be shown or saved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from babyai_kit.atomic_files import write_atomically
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError
from babyai_kit.pages import script
from babyai_kit.replay.captions import about
from babyai_kit.replay.gif import gif
from babyai_kit.replay.player import framed, player
from babyai_kit.runs.run import Run
from babyai_kit.runs.trajectories import Trajectory, choose

UNTRUSTED = Markup(
    "<p hidden>The replay of {} appears once this notebook is trusted: run its cell, or jupyter trust "
    "FILE.</p>"
)
"""Jupyter strips frames and the attribute `hidden` from notebooks that somebody else executed."""


@dataclass(frozen=True, repr=False)
class Replay:
    """An episode to look at: in a notebook as a cell's value, elsewhere by `save`."""

    trajectory: Trajectory

    @property
    def about(self) -> str:
        """Which episode this is, in one line."""
        return about(self.trajectory)

    @property
    def name(self) -> str:
        """A name for its file: letters, digits, `.`, `_` and `-`."""
        key = self.trajectory.key
        parts = (key.variant, key.task, f"seed{key.seed}", f"repeat{key.repeat}", self.trajectory.outcome)
        return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", part)[:64] for part in parts)

    def html(self) -> str:
        """The player, a page that needs nothing else."""
        return player(self.trajectory)

    def gif(self) -> bytes:
        """The episode as an animated GIF."""
        return gif(self.trajectory)

    def save(self, path: str | Path) -> Path:
        """Write the player (`.html`) or the GIF (`.gif`), whole or not at all.

        Raises InputError for another ending and where `path` cannot be written.
        """
        kinds = {".html": lambda: self.html().encode(), ".gif": self.gif}
        make = kinds.get(Path(path).suffix.lower())
        if make is None:
            raise InputError(f"{path} ends in neither .html nor .gif; use one of them")
        return write_atomically(path, make())

    def _repr_html_(self) -> str:
        frames = Markup("<script>{}</script>").format(script("frames.js"))
        return framed(self.trajectory) + frames + UNTRUSTED.format(self.about)

    def __repr__(self) -> str:
        return f"<Replay of {self.about}: {self.trajectory.outcome}>"


def load_replay(
    run: str,
    *,
    results: StrPath = PROJECT_RESULTS,
    task: str | None = None,
    variant: str | None = None,
    seed: int | None = None,
    repeat: int | None = None,
    success: bool | None = None,
    episode_id: str | None = None,
) -> Replay:
    """The first episode of `run` (by variant, task, seed, repeat) that matches; None matches any.

    `success=False` finds failures of the agent only: an episode that ended with an error is none.
    Raises InputError for an unknown run, NoEpisodeError if there is no such episode, JournalError for a run
    that cannot be read. Displaying it raises JournalError if another version of the environment recorded it.
    """
    return Replay(
        choose(
            Run.open(run, results=results).trajectories(),
            task=task,
            variant=variant,
            seed=seed,
            repeat=repeat,
            success=success,
            episode_id=episode_id,
        )
    )
