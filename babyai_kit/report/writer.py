"""`write_report`: report.html and summary.json of a run, from its journal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from markupsafe import Markup
from PIL import Image

from babyai_kit.atomic_files import write_atomically
from babyai_kit.configuration.project import PROJECT_CONFIG, PROJECT_RESULTS, StrPath
from babyai_kit.environment import TASKS
from babyai_kit.environment.suites import suite_of
from babyai_kit.errors import JournalError, KitError, NoEpisodeError
from babyai_kit.failures import CLASSES
from babyai_kit.failures.classes import LABELS
from babyai_kit.failures.tables import failures_of
from babyai_kit.figures import FIGURES, Chart, failure_classes, known_figures, paired_differences
from babyai_kit.figures.caption import count
from babyai_kit.figures.outcomes import Counting, unknown_measures
from babyai_kit.pages import data_uri, page, part, script
from babyai_kit.replay.player import framed, player_policy, printed
from babyai_kit.report import tables
from babyai_kit.report.invalid_answers import invalid_answers
from babyai_kit.report.provenance import prompts
from babyai_kit.report.standing import Standing, standing
from babyai_kit.report.summary import make_summary
from babyai_kit.runs.commands import run_commands
from babyai_kit.runs.run import Run
from babyai_kit.runs.selection import Filters, HeldPlan, results_flag, select
from babyai_kit.runs.trajectories import Trajectory, choose
from babyai_kit.stats import check_baseline, usual_baseline

T = TypeVar("T")

RESULTS, COMPARISON = ("success_rate", "success_against_steps"), ("paired_differences",)
"""The figures of these sections of the page; the others stand in the section on spending."""


@dataclass(frozen=True)
class Report:
    """Where a report was written, and how far the run was."""

    page: Path
    summary: Path
    standing: Standing
    episodes: pd.DataFrame
    """What it is about."""
    baseline: str | Mapping[str, Any]
    """What the other agents are compared with."""
    failures: pd.DataFrame | None = None
    """Its failed episodes, as `load_failures` gives them; None where they do not replay."""
    notes: tuple[str, ...] = ()
    """What is shown of a run that holds several plans, and how to see the rest; a line each."""


def write_report(
    run: str,
    *,
    results: StrPath = PROJECT_RESULTS,
    config: StrPath = PROJECT_CONFIG,
    figures: Collection[str] = tuple(FIGURES),
    baseline: str | Mapping[str, Any] | None = None,
    filters: Filters | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Report:
    """Write report.html and summary.json into the run's folder, each whole or not at all.

    The page of an unfinished run says so. `config`: where the prompts are, shown if they are still the run's.
    `figures`: those of FIGURES to draw. `baseline`: what the others are compared with, as in `compare`;
    None: the variant that comes first in the figures. `filters`: what the page is about; None: all episodes
    of the settings that the run has most seeds of. `say`: told in a line what is being done, at the start of
    each part that may take seconds, such as `print`; with 400 episodes they take about 10 s together.

    Raises InputError for an unknown run or baseline, filters that leave nothing and a folder that cannot be
    written, JournalError for a run that cannot be read.
    """
    opened = Run.open(run, results=results)
    say(f"Reading run {opened.name}.")
    every_episode = opened.episodes()
    selection = select(opened, every_episode, filters)
    episodes = selection.rows(every_episode)
    trajectories = [trajectory for trajectory in opened.trajectories() if selection.has(trajectory.key)]
    stands = standing(opened, episodes, selection.planned)
    models = opened.manifest.models
    base = tables.first_agent(episodes) if baseline is None else usual_baseline(episodes, baseline, models)
    if baseline is not None and _variant(baseline) not in {*every_episode["variant"]}:
        check_baseline(episodes if len(episodes) else every_episode, base)
    say(f"Replaying failures among {count(len(trajectories), 'episode')}.")
    failures = _result_or_reason(lambda: failures_of(trajectories))
    notes = selection.notes(f"python -m babyai_kit report {opened.name}{results_flag(results)}")
    drawn = _figures(episodes, figures, base, say)
    say("Making tables and replays.")
    # Agents of Python code, whose calls are recorded apart; some act without any.
    chats = {call.variant for calls in opened.call_records().values() for call in calls}
    chats |= {step.variant for trajectory in trajectories for step in trajectory.steps if not step.calls}
    html = page(
        "report.html",
        policy=player_policy(),
        style=part("report.css"),
        script=script("frames.js"),
        manifest=opened.manifest,
        standing=stands,
        game=_game(episodes),
        notes=notes,
        plans=[held.plan for held in selection.plans if held.selected],
        outcomes=[tables.outcomes(episodes), tables.by_task(episodes)],
        comparison=tables.comparison(episodes, base),
        spending=tables.spending(episodes),
        unknown=unknown_measures(episodes),
        figures={
            "results": [drawn[name] for name in RESULTS if name in drawn],
            "comparison": [drawn[name] for name in COMPARISON if name in drawn],
            "spending": [drawn[name] for name in drawn if name not in (*RESULTS, *COMPARISON)],
        },
        failures=failures if isinstance(failures, str) else _failures(episodes, failures),
        invalid_answers=invalid_answers(trajectories, chats=chats),
        replays=[_replay(trajectories, success) for success in (True, False)],
        commands=run_commands(opened.manifest),
        prompts=prompts(opened.manifest, config),
        n_steps=sum(len(trajectory.steps) for trajectory in trajectories),
        n_journalled=sum(map(len, opened.step_records().values())),
        reconciliation=opened.reconciliation(),
    )
    content = make_summary(opened.manifest, episodes, stands) | {"plans": list(map(_held, selection.plans))}
    summary = json.dumps(content, indent=2, allow_nan=False) + "\n"
    return Report(
        page=write_atomically(opened.folder / "report.html", html),
        summary=write_atomically(opened.folder / "summary.json", summary),
        standing=stands,
        episodes=episodes,
        baseline=base,
        failures=None if isinstance(failures, str) else failures,
        notes=tuple(notes),
    )


def _game(episodes: pd.DataFrame) -> str:
    """What was played, in the first words of the page."""
    five = set(episodes["task"]) <= set(TASKS)
    game = "BALROG's BabyAI-Text" if five else "Levels of BabyAI, told in the words of BALROG's BabyAI-Text"
    suite = suite_of(episodes["task"], episodes["num_dists"])
    return f"{game} (suite {suite.name})" if suite else game


def _variant(baseline: str | Mapping[str, Any]) -> Any:
    return baseline if isinstance(baseline, str) else baseline.get("variant")


def _held(held: HeldPlan) -> dict[str, Any]:
    counts = {"planned": held.planned, "finished": held.finished, "in_this_summary": held.selected}
    return held.plan.as_json() | counts


def _failures(episodes: pd.DataFrame, failed: pd.DataFrame) -> dict[str, Any]:
    return {
        "count": len(failed),
        "figure": _figure(failure_classes(episodes, failed)),
        "table": tables.failures(episodes, failed),
        "classes": [(LABELS[name], condition.__doc__) for name, condition in CLASSES.items()],
    }


def _figures(
    episodes: pd.DataFrame,
    names: Collection[str],
    baseline: str | Mapping[str, Any],
    say: Callable[[str], object],
) -> dict[str, Markup]:
    """The figures of these names, but for what is not known and differences where nothing can be compared."""
    figures = {}
    known = {name: draw for name, draw in known_figures(episodes).items() if name in names}
    progress = Counting("Drawing figures", len(known), say)
    for name, draw in known.items():
        progress.next()
        if draw is not paired_differences:
            figures[name] = _figure(draw(episodes))
            continue
        try:
            figures[name] = _figure(paired_differences(episodes, baseline))
        except KitError:
            continue  # the page says why in place of the comparison
    return figures


def _figure(chart: Chart) -> Markup:
    """The figure, and its caption as text, which stays legible where the picture shrinks; or why there is
    nothing to draw."""
    title = " ".join(chart.get_suptitle().replace("\\$", "$").split())
    if not chart.axes:
        reason = " ".join(chart.texts[0].get_text().replace("\\$", "$").split())
        return Markup("<p>{}: {}.</p>").format(title, reason)
    caption = " ".join(chart.get_supxlabel().replace("\\$", "$").split())
    chart.supxlabel("")
    return Markup(
        '<figure class="chart"><div class="wide" tabindex="0" role="region" aria-label="{}">'
        '<img src="{}" width="{}" alt="{}"></div><figcaption>{}</figcaption></figure>'
    ).format(
        title,
        data_uri(_with_palette(chart.png()), "image/png"),
        round(100 * chart.get_size_inches()[0]),
        f"{title}. {caption}",
        caption,
    )


def _with_palette(png: bytes) -> bytes:
    """The picture in 256 colours, which halves it."""
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _replay(trajectories: list[Trajectory], success: bool) -> dict[str, Any]:
    """The first success or failure to step through, or why there is none."""
    title = "A success" if success else "A failure"
    try:
        trajectory = choose(trajectories, success=success)
    except NoEpisodeError:
        reason = f"The run has no {'successful' if success else 'failed'} episode."
        return {"title": title, "player": reason, "is_broken": False}
    player = _result_or_reason(lambda: framed(trajectory) + printed(trajectory))
    return {"title": title, "player": player, "is_broken": True}


def _result_or_reason(make: Callable[[], T]) -> T | str:
    """What `make` returns; where the journal does not replay, the reason."""
    try:
        return make()
    except JournalError as error:
        return str(error)
