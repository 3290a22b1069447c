"""What a figure says about itself: n, the kind of interval, errors, the model, and whether it is an LLM."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from babyai_kit.configuration.models import is_learner, is_offline_player
from babyai_kit.stats import SOURCES

WATERMARK = "offline player: not an LLM"
LOCAL = "small model trained here: no hosted LLM"


def caption(
    episodes: pd.DataFrame,
    shown: pd.DataFrame,
    measure: str,
    *,
    several: bool,
    beside: pd.DataFrame | None = None,
    note: str = "",
) -> str:
    """One line. `shown`: the estimates of `measure` drawn; `beside`: those in open points; `several`: the
    first panel is over several tasks."""
    parts = []
    errors = int((episodes["status"] == "error").sum())
    finished = len(episodes) - errors
    known = int(known_of(episodes[episodes["status"] == "ok"], measure).sum())
    overall = shown[shown["task"] == shown["task"].iloc[0]] if len(shown) else shown
    if shown["value"].notna().any():
        kinds = _kinds(overall, shown, several)
        parts.append(f"Points: means; lines: 95% intervals ({kinds}).")
        if beside is not None and beside["value"].notna().any():
            others = f" ({_kinds_of(beside)})" if _kinds_of(beside) != kinds else ""
            parts.append(f"Open points: successes only{others}.")
        used = overall[overall["value"].notna()]
        least, most = (int(used["n_seeds"].min()), int(used["n_seeds"].max())) if len(used) else (0, 0)
        seeds = f"n={f'{least} to ' * (least < most)}{count(most, 'seed')}"
        behind = int(used["n_episodes"].sum())
        whole = " with every task finished" * (several and behind < known)
        part = f"{behind} of " * (behind < known)
        parts.append(f"{seeds}{whole}, {part}{count(known, 'episode')}.")
        if known < finished:
            parts.append(f"{count(finished - known, 'episode')} without a value.")
    else:
        parts.append(f"{count(finished, 'finished episode')}.")
    notes = []
    if (shown["worst"] < shown["value"]).any():
        notes.append("x: the rate if errors and missing episodes had failed.")
    if (shown["high"] == math.inf).any():
        notes.append("Arrow: no upper limit, since some resamples hold no success.")
    if note:
        notes.append(f"{note[0].upper()}{note[1:]}.")
    return " ".join([*parts, ending(episodes, *notes)])


def ending(episodes: pd.DataFrame, *notes: str) -> str:
    """What every caption ends with: errors, these sentences, the model."""
    errors = int((episodes["status"] == "error").sum())
    parts = [f"{count(errors, 'error')}, left out." if errors else "No errors."]
    models = sorted(map(str, episodes["model"].unique()))
    return " ".join([*parts, *notes, f"Model: {', '.join(models) or 'none'}{kinds_of_model(models)}."])


def kinds_of_model(models: Iterable[str]) -> str:
    """What must be said of some models, in parentheses after a space; else an empty text."""
    models = list(map(str, models))
    kinds = [WATERMARK] * any(map(is_offline_player, models)) + [LOCAL] * any(map(is_learner, models))
    return f" ({'; '.join(kinds)})" if kinds else ""


def known_of(rows: pd.DataFrame, measure: str) -> pd.Series[bool]:
    """Which of the rows have what `measure` is made of."""
    return rows[SOURCES.get(measure, [measure])].notna().all(axis=1)


def watermark(episodes: pd.DataFrame) -> str:
    """The text across a figure of the offline player or the learner, or an empty one."""
    for is_kind, text in ((is_offline_player, WATERMARK), (is_learner, LOCAL)):
        those = episodes["model"].map(is_kind).astype(bool)
        if those.any():
            return text if those.all() else f"in part {text}"
    return ""


def _kinds(overall: pd.DataFrame, shown: pd.DataFrame, several: bool) -> str:
    every, each = _kinds_of(overall), _kinds_of(shown.drop(overall.index))
    return every if not several or every == each else f"all tasks: {every}; each task: {each}"


def _kinds_of(rows: pd.DataFrame) -> str:
    return " or ".join(sorted(set(rows.loc[rows["value"].notna(), "interval"]))) or "none"


def count(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {noun}" + "s" * (number != 1)
