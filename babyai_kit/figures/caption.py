"""What a figure says about itself: n, the kind of interval, errors, the model, and whether it is an LLM."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from babyai_kit.configuration.models import is_offline_player
from babyai_kit.figures.model_names import short_names
from babyai_kit.runs.references import MODELS
from babyai_kit.stats import ALL_TASKS, Measure, count_errors, finished, with_free_models

OFFLINE = "offline player: not an LLM"


def caption(
    episodes: pd.DataFrame,
    estimates: pd.DataFrame,
    measure: Measure,
    *,
    open_points: pd.DataFrame | None = None,
    note: str = "",
) -> str:
    """One line. `estimates`: those of `measure` drawn, panel by panel; `open_points`: those of a second
    measure; `note`: a sentence more."""
    done = finished(episodes)
    n_known = int(has_value(done, measure).sum())
    parts = []
    if estimates["value"].notna().any():
        first = first_panel(estimates)
        several = len(first) < len(estimates)
        kinds = kinds_by_panel(estimates[estimates["value"].notna()], "interval")
        parts.append(f"Points: means; lines: 95% intervals ({kinds}).")
        if open_points is not None and open_points["value"].notna().any():
            open_kinds = kinds_by_panel(open_points[open_points["value"].notna()], "interval")
            differing = f" ({open_kinds})" if open_kinds != kinds else ""
            parts.append(f"Open points: successes only{differing}.")
        parts.append(f"{sample(first[first['value'].notna()], n_known, several)}.")
        if n_known < len(done):
            parts.append(f"{count(len(done) - n_known, 'episode')} without a value.")
    else:
        parts.append(f"{count(len(done), 'finished episode')}.")
    notes = []
    if (estimates["worst"] < estimates["value"]).any():
        notes.append("x: the rate with errors and missing episodes counted as failures.")
    if (estimates["high"] == math.inf).any():
        notes.append("Arrow: no upper limit, because some resamples contain no success.")
    if note:
        notes.append(f"{capitalized(note)}.")
    return " ".join([*parts, closing(episodes, *notes)])


def closing(episodes: pd.DataFrame, *notes: str) -> str:
    """What every caption ends with: errors, these sentences, the variant if only models differ, the model."""
    errors = count_errors(episodes)
    excluded = f"{count(errors, 'error')} excluded." if errors else "No errors."
    models = sorted(map(str, episodes["model"].unique()))
    variants = sorted({*map(str, episodes["variant"])} - set(MODELS))
    if len(models) > 1 and len(variants) == 1:
        notes = (*notes, f"Variant: {variants[0]}.")
    return " ".join([excluded, *notes, f"Model: {_model_list(models)}{model_note(models)}."])


def _model_list(models: Sequence[str]) -> str:
    """The models' names; where a figure shortens them to tell them apart, both forms."""
    if len(models) < 2:
        return "".join(models) or "none"
    shown = short_names(models).items()
    return ", ".join(name if short == name else f"{short} ({name})" for name, short in shown)


def sample(rows: pd.DataFrame, n_available: int, several: bool) -> str:
    """`n=4 to 5 seeds with every task finished, 85 of 139 episodes`: what a panel's `rows`, one per agent,
    rest on; `several`: they are over several tasks."""
    n_used = int(rows["n_episodes"].sum())
    blocks = " with every task finished" if several and n_used < n_available else ""
    part = f"{n_used} of " if n_used < n_available else ""
    return f"{seeds(rows)}{blocks}, {part}{count(n_available, 'episode')}"


def seeds(rows: pd.DataFrame) -> str:
    """`n=5 seeds`, or from the fewest to the most of an agent."""
    fewest, most = (int(rows["n_seeds"].min()), int(rows["n_seeds"].max())) if len(rows) else (0, 0)
    return f"n={f'{fewest} to ' if fewest < most else ''}{count(most, 'seed')}"


def first_panel(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first task, which is ALL_TASKS if there are several."""
    return rows[rows["task"] == rows["task"].iloc[0]] if len(rows) else rows


def model_note(models: Iterable[str]) -> str:
    """What must be said of some models, in parentheses after a space; else an empty text."""
    return f" ({OFFLINE})" if any(map(is_offline_player, map(str, models))) else ""


def watermark(episodes: pd.DataFrame) -> str:
    """The text across a figure of the offline player, or an empty one."""
    of_player = episodes["model"].map(is_offline_player).astype(bool)
    if not of_player.any():
        return ""
    return OFFLINE if of_player.all() else f"partly {OFFLINE}"


def has_value(rows: pd.DataFrame, measure: Measure) -> pd.Series[bool]:
    """Which of the rows have what `measure` is made of."""
    return with_free_models(rows)[list(measure.columns)].notna().all(axis=1)


def count(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def capitalized(text: str) -> str:
    """With its first letter in upper case, and the others as they are."""
    return text[:1].upper() + text[1:]


def kinds_by_panel(rows: pd.DataFrame, column: str) -> str:
    """The kinds in `column` (of interval, of test) that the rows rest on, for all tasks and each task apart
    where these differ."""
    if rows.empty:
        return "none"
    first = first_panel(rows)
    others = rows.drop(first.index)
    is_alike = others.empty or first[column].mode()[0] == others[column].mode()[0]
    if is_alike or first["task"].iloc[0] != ALL_TASKS:
        return kinds_of(rows[column])
    return f"all tasks: {kinds_of(first[column])}; each task: {kinds_of(others[column])}"


def kinds_of(kinds: Iterable[str]) -> str:
    """The most frequent of the kinds, then in how many rows another one stands instead."""
    counts = Counter(map(str, kinds)).most_common()
    if not counts:
        return "none"
    total = sum(number for _, number in counts)
    exceptions = [f"{kind} in {number} of {total}" for kind, number in sorted(counts[1:])]
    return ", but ".join([counts[0][0], *([" and ".join(exceptions)] if exceptions else [])])
