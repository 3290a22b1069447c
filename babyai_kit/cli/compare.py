"""`compare RUN`: every agent of a run against a baseline, as tables to read."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import add_run, names

if TYPE_CHECKING:
    import pandas as pd

UNITS = {
    "success": ("success in percent", 100, 1),
    "episode_return": ("episode return", 1, 3),
    "episode_length": ("steps", 1, 1),
    "length_given_success": ("steps of a success", 1, 1),
    "optimality": ("steps of a success / shortest way", 1, 2),
    "input_tokens": ("input tokens", 1, 0),
    "output_tokens": ("generated tokens", 1, 0),
    "cost_usd": ("dollars per episode", 1, 5),
    "tokens_per_success": ("tokens per success", 1, 0),
    "cost_per_success": ("dollars per success", 1, 5),
}
"""Measure: (title, factor, decimals)."""


def add(commands: Any) -> None:
    parser = commands.add_parser("compare", help="every agent of a run against a baseline, paired by seed")
    add_run(parser)
    parser.add_argument(
        "--baseline",
        type=_baseline,
        default="baseline",
        help="a variant or, if it was played by several models, variant=NAME,model=NAME",
    )
    parser.add_argument("--measures", type=names, default=None, help="default: all that the run knows")
    parser.add_argument(
        "--per-task", action="store_true", help="each task for every measure, not for success only"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the whole table, unrounded")
    parser.set_defaults(command=_command)


def _baseline(text: str) -> str | dict[str, str]:
    if "=" not in text:
        return text
    pairs = [part.partition("=") for part in text.split(",")]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.errors import InputError
    from babyai_kit.runs.run import Run
    from babyai_kit.stats import ALL_TASKS, compare

    run = Run.open(args.run, results=args.results)
    episodes = run.episodes()
    table = compare(episodes, args.baseline, measures=args.measures)
    if table.empty:
        raise InputError(f"run {args.run} has one agent alone; run another variant on the same seeds")
    if args.csv:
        args.csv.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(args.csv, index=False)
    one_task = table["task"].nunique() == 2
    for measure, rows in table.groupby("measure", sort=False):
        title, factor, decimals = UNITS[str(measure)]
        if rows["difference"].isna().all() and args.measures is None:
            why = ", ".join(sorted(set(rows["interval"].str.removeprefix("none: "))))
            print(f"\n{title}: {why}")
            continue
        if one_task:
            rows = rows[rows["task"] != ALL_TASKS]
        elif measure != "success" and not args.per_task:
            rows = rows[rows["task"] == ALL_TASKS]
        print(f"\n{title}, difference from {rows['baseline'].iloc[0]}")
        print(readable(rows, factor, decimals).to_string(index=False))
    print(f"\n{_notes(episodes, table, len(run.planned()))}")
    return 0


def readable(rows: pd.DataFrame, factor: float = 1, decimals: int = 2) -> pd.DataFrame:
    """Rows of `compare` as text, figures times `factor` with so many decimals."""
    import pandas as pd

    columns = list(rows.columns)
    agent = columns[columns.index("task") + 1 : columns.index("baseline")]

    def figure(value: float, sign: str = "") -> str:
        return "-" if math.isnan(value) else f"{factor * value:{sign},.{decimals}f}"

    def chance(value: float) -> str:
        return "-" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"

    shown: dict[str, list[str]] = {name: rows[name].astype(str).tolist() for name in ("task", *agent)}
    shown["value"] = [figure(v) for v in rows["value"]]
    shown["baseline"] = [figure(v) for v in rows["baseline_value"]]
    shown["difference"] = [figure(v, "+") for v in rows["difference"]]
    limits = zip(rows["low"], rows["high"], strict=True)
    shown["95% interval"] = [
        "-" if math.isnan(a) else f"{figure(a, '+')} to {figure(b, '+')}" for a, b in limits
    ]
    shown["p"] = [chance(p) for p in rows["p_value"]]
    shown["p (Holm)"] = [chance(p) for p in rows["p_holm"]]
    shown["detectable"] = [figure(v) for v in rows["detectable"]]
    shown["seeds"] = rows["n_seeds"].astype(str).tolist()
    return pd.DataFrame(shown)


def _notes(episodes: pd.DataFrame, table: pd.DataFrame, planned: int) -> str:
    """What the tables rest on."""
    from babyai_kit.figures.caption import kinds_of_model

    kinds = ", ".join(sorted({k for k in table["interval"] if not k.startswith("none")}))
    tests = ", ".join(sorted(set(table["test"]) - {"none"}))
    counted = f"{len(episodes)} episodes, {int((episodes['status'] == 'error').sum())} errors among them"
    if planned > len(episodes):
        counted += f"; the run is not complete: {planned} are planned"
    if left_out := int(table.loc[table["measure"] == table["measure"].iloc[0], "n_left_out"].max()):
        counted += f"; up to {left_out} seeds are in no comparison: not finished by both on every task"
    models = sorted(map(str, episodes["model"].unique()))
    lines = [
        counted,
        f"model: {', '.join(models)}{kinds_of_model(models)}",
        f"intervals (not corrected): {kinds or 'none'}",
        f"p: {tests or 'none'}; Holm: corrected over the agents compared on a measure and task",
        "detectable: smallest true difference that these seeds find with 80% power, at p < .05 uncorrected",
    ]
    return "\n".join(lines)
