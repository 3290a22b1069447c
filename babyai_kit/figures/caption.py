"""What a figure says about itself: n, the kind of interval, errors, the model, and whether it is an LLM."""

from __future__ import annotations

import pandas as pd

from babyai_kit.settings import OFFLINE_MODEL

WATERMARK = "offline player: not an LLM"


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
    known = int(episodes.loc[episodes["status"] == "ok", measure].notna().sum())
    overall = shown[shown["task"] == shown["task"].iloc[0]] if len(shown) else shown
    if shown["value"].notna().any():
        kinds = _kinds(overall, shown, several)
        parts.append(f"Points: means; lines: 95% intervals ({kinds}).")
        if beside is not None and beside["value"].notna().any():
            others = f" ({_kinds_of(beside)})" if _kinds_of(beside) != kinds else ""
            parts.append(f"Open points: successes only{others}.")
        used = overall[overall["value"].notna()]
        least, most = (int(used["n_seeds"].min()), int(used["n_seeds"].max())) if len(used) else (0, 0)
        seeds = f"n={f'{least} to ' * (least < most)}{_count(most, 'seed')}"
        count = int(used["n_episodes"].sum())
        whole = " with every task finished" * (several and count < known)
        part = f"{count} of " * (count < known)
        parts.append(f"{seeds}{whole}, {part}{_count(known, 'episode')}.")
        if known < finished:
            parts.append(f"{_count(finished - known, 'episode')} without a value.")
    else:
        parts.append(f"{_count(finished, 'finished episode')}.")
    parts.append(f"{_count(errors, 'error')}, left out." if errors else "No errors.")
    if (shown["worst"] < shown["value"]).any():
        parts.append("x: the rate if errors and missing episodes had failed.")
    if note:
        parts.append(f"{note[0].upper()}{note[1:]}.")
    models = sorted(map(str, episodes["model"].unique()))
    offline = f" ({WATERMARK})" if OFFLINE_MODEL in models else ""
    parts.append(f"Model: {', '.join(models) or 'none'}{offline}.")
    return " ".join(parts)


def watermark(episodes: pd.DataFrame) -> str:
    """The text across a figure of the offline player, or an empty one."""
    offline = episodes["model"] == OFFLINE_MODEL
    return "" if not offline.any() else WATERMARK if offline.all() else f"in part {WATERMARK}"


def _kinds(overall: pd.DataFrame, shown: pd.DataFrame, several: bool) -> str:
    every, each = _kinds_of(overall), _kinds_of(shown.drop(overall.index))
    return every if not several or every == each else f"all tasks: {every}; each task: {each}"


def _kinds_of(rows: pd.DataFrame) -> str:
    return " or ".join(sorted(set(rows.loc[rows["value"].notna(), "interval"]))) or "none"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
