"""What a figure says about itself: n, the kind of interval, errors, the model, and whether it is an LLM."""

from __future__ import annotations

import pandas as pd

from babyai_kit.settings import OFFLINE_MODEL

WATERMARK = "offline player: not an LLM"


def caption(
    episodes: pd.DataFrame, shown: pd.DataFrame, *, several: bool, beside: bool = False, note: str = ""
) -> str:
    """One line. `shown`: the estimates drawn; `several`: the first panel is over several tasks."""
    parts = []
    errors = int((episodes["status"] == "error").sum())
    finished = len(episodes) - errors
    overall = shown[shown["task"] == shown["task"].iloc[0]] if len(shown) else shown
    if shown["value"].notna().any():
        parts.append(f"Points: means; lines: 95% intervals ({_kinds(overall, shown, several)}).")
        if beside:
            parts.append("Open points: successes only.")
        used = overall[overall["value"].notna()]
        seeds = " to ".join(
            str(n) for n in sorted({used["n_seeds"].min(), used["n_seeds"].max()}) if len(used)
        )
        count = int(used["n_episodes"].sum())
        if count == finished:
            parts.append(f"n={seeds} seeds, {finished} episodes.")
        elif several:
            parts.append(f"n={seeds or 0} seeds with every task finished ({count} of {finished} episodes).")
        else:
            parts.append(f"n={seeds} seeds ({count} of {finished} episodes).")
    else:
        parts.append(f"{finished} finished episodes.")
    if errors:
        crosses = "; x: the rate if each had failed" if shown["worst"].notna().any() else ""
        parts.append(f"{errors} errors, left out{crosses}.")
    else:
        parts.append("No errors.")
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
    def kinds(rows: pd.DataFrame) -> str:
        return " or ".join(sorted(set(rows.loc[rows["value"].notna(), "interval"]))) or "none"

    every, each = kinds(overall), kinds(shown.drop(overall.index))
    return every if not several or every == each else f"all tasks: {every}; each task: {each}"
