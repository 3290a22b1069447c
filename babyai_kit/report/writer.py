"""`write_report`: report.html and summary.json of a run, from its journal.

Knows the order of the page; what stands in it, the modules beside know.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from markupsafe import Markup
from PIL import Image

from babyai_kit.atomic_files import write_atomically
from babyai_kit.errors import JournalError, KitError, NoEpisodeError
from babyai_kit.failures import CLASSES
from babyai_kit.failures.classes import LABELS
from babyai_kit.failures.tables import failures_of
from babyai_kit.figures import FIGURES, Chart, failure_classes, paired_differences
from babyai_kit.pages import data_uri, page, part
from babyai_kit.replay.film import film
from babyai_kit.replay.player import TILE, framed, player_policy
from babyai_kit.report import tables
from babyai_kit.report.provenance import commands, prompts
from babyai_kit.report.standing import Standing, standing
from babyai_kit.report.summary import make_summary
from babyai_kit.runs.run import Run
from babyai_kit.runs.trajectories import Trajectory, choose

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """Where a report was written, and how far the run was."""

    page: Path
    summary: Path
    standing: Standing


def write_report(run: str, *, results: str | Path = "results", config: str | Path = "config") -> Report:
    """Write report.html and summary.json into the run's folder, each whole or not at all.

    Of an unfinished run it says so. `config`: where the prompts are, shown if they are still the run's.
    Raises InputError for an unknown run or a folder that cannot be written, JournalError for a run that
    cannot be read.
    """
    opened = Run.open(run, results=results)
    folder, manifest = opened.folder, opened.manifest.as_json()
    episodes = opened.episodes()
    trajectories = opened.trajectories()
    stands = standing(manifest, episodes)
    summary = json.dumps(make_summary(manifest, episodes, stands), indent=2, allow_nan=False) + "\n"
    whole = page(
        "report.html",
        policy=player_policy(),
        style=part("report.css"),
        manifest=manifest,
        standing=stands,
        outcomes=[tables.outcomes(episodes), tables.by_task(episodes)],
        comparison=tables.comparison(episodes),
        spending=tables.spending(episodes),
        figures={name: _figure(draw) for name, draw in _drawn(episodes).items()},
        failures=_or_why(lambda: _failures(episodes, trajectories)),
        replays=[_replay(trajectories, success) for success in (True, False)],
        commands=commands(manifest),
        prompts=prompts(manifest, config),
        steps=sum(len(t.steps) for t in trajectories),
        journalled=sum(map(len, opened.step_records().values())),
        reconciliation=opened.reconciliation(),
    )
    return Report(
        page=write_atomically(folder / "report.html", whole.encode()),
        summary=write_atomically(folder / "summary.json", summary.encode()),
        standing=stands,
    )


def _failures(episodes: pd.DataFrame, trajectories: list[Trajectory]) -> dict[str, Any]:
    failed = failures_of(trajectories)
    return {
        "count": len(failed),
        "figure": _figure(failure_classes(episodes, failed)),
        "table": tables.failures(episodes, failed),
        "classes": [(LABELS[name], condition.__doc__) for name, condition in CLASSES.items()],
    }


def _drawn(episodes: pd.DataFrame) -> dict[str, Chart]:
    """Every figure that the table has something for."""
    draws = dict(FIGURES)
    try:
        differences = paired_differences(episodes, tables.first_agent(episodes))
        draws["paired_differences"] = lambda _: differences
    except KitError:  # said where the comparison would be
        del draws["paired_differences"]
    return {name: draw(episodes) for name, draw in draws.items()}


def _figure(chart: Chart) -> Markup:
    """The figure with its own caption as the text for who cannot see it; or why there is nothing to draw."""
    title = Markup.escape(chart.get_suptitle().replace("\\$", "$"))
    if not chart.axes:
        why = " ".join(chart.texts[0].get_text().replace("\\$", "$").split())
        return Markup("<p>{}: {}.</p>").format(title, why)
    text = Markup.escape(" ".join(chart.get_supxlabel().replace("\\$", "$").split()))
    return Markup(f'<img src="{data_uri(_small(chart.png()), "image/png")}" alt="{title}. {text}">')


def _small(png: bytes) -> bytes:
    """The picture in 256 colours, which halves it."""
    few = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(buffer := io.BytesIO(), "png", optimize=True)
    return buffer.getvalue()


def _replay(trajectories: list[Trajectory], success: bool) -> dict[str, Any]:
    title = "A success" if success else "A failure"
    try:
        found = choose(trajectories, success=success)
    except NoEpisodeError:
        none = f"The run has no {'successful' if success else 'failed'} episode."
        return {"title": title, "shown": none, "broken": False}
    return {"title": title, "shown": _or_why(lambda: framed(film(found, TILE))), "broken": True}


def _or_why(make: Callable[[], T]) -> T | str:
    """What `make` makes; where the journal does not replay, the reason."""
    try:
        return make()
    except JournalError as error:
        return str(error)
