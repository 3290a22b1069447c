"""`compare RUN`: every agent of a run against a baseline, as tables to read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import add_command, add_filters, add_run, baseline, filters, names

if TYPE_CHECKING:
    import pandas as pd

    from babyai_kit.stats import Measure


def add(commands: Any) -> None:
    parser = add_command(commands, "compare", "compare every agent of a run with a baseline, paired by seed")
    add_run(parser)
    parser.add_argument(
        "--baseline",
        type=baseline,
        default="baseline",
        help="a variant or, if several models played it, variant=NAME,model=NAME",
    )
    parser.add_argument("--measures", type=names, default=None, help="default: all")
    parser.add_argument(
        "--per-task", action="store_true", help="also print single tasks for measures other than success"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the whole table, unrounded")
    add_filters(parser)
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.atomic_files import write_atomically
    from babyai_kit.errors import InputError
    from babyai_kit.runs.run import Run
    from babyai_kit.runs.selection import results_flag, select
    from babyai_kit.stats import ALL_TASKS, compare, measure_of, reasons

    run = Run.open(args.run, results=args.results)
    selection = select(run, run.episodes(), filters(args))
    episodes = selection.rows(run.episodes())
    table = compare(episodes, args.baseline, measures=args.measures)
    if table.empty:
        raise InputError(f"only one agent of run {args.run}; run another variant on the same seeds")
    if args.csv:
        write_atomically(args.csv, table.to_csv(index=False))
    one_task = table["task"].nunique() == 2
    for name, rows in table.groupby("measure", sort=False):
        measure = measure_of(str(name))
        if rows["difference"].isna().all() and args.measures is None:
            print(f"\n{measure.title}: {', '.join(reasons(rows['interval']))}")
            continue
        if one_task:
            rows = rows[rows["task"] != ALL_TASKS]
        elif not (measure.is_rate or args.per_task):
            rows = rows[rows["task"] == ALL_TASKS]
        print(f"\n{measure.title}, difference from {rows['baseline'].iloc[0]}")
        print(readable(rows, measure).to_string(index=False))
    print(f"\n{_notes(episodes, table, len(selection.planned))}")
    for note in selection.notes(f"python -m babyai_kit compare {run.name}{results_flag(args.results)}"):
        print(note)
    return 0


def readable(rows: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Rows of `compare` as text."""
    import pandas as pd

    from babyai_kit.stats import UNKNOWN, agent_columns, p_value_text

    intervals = [
        f"{measure.difference(low)} to {measure.difference(high)}"
        for low, high in zip(rows["low"], rows["high"], strict=True)
    ]
    return pd.DataFrame(
        {
            **{name: rows[name].astype(str) for name in ("task", *agent_columns(rows))},
            "value": rows["value"].map(measure.number),
            "baseline": rows["baseline_value"].map(measure.number),
            "difference": rows["difference"].map(measure.difference),
            "95% interval": pd.Series(intervals, rows.index).where(rows["low"].notna(), UNKNOWN),
            "p": rows["p_value"].map(p_value_text),
            "p (Holm)": rows["p_holm"].map(p_value_text),
            "detectable": rows["detectable"].map(measure.number),
            "seeds": rows["n_seeds"].astype(str),
        }
    )


def _notes(episodes: pd.DataFrame, table: pd.DataFrame, planned: int) -> str:
    """What the tables rest on."""
    from babyai_kit.figures.caption import count, model_note
    from babyai_kit.stats import count_errors

    kinds = ", ".join(sorted({kind for kind in table["interval"] if not kind.startswith("none")}))
    tests = ", ".join(sorted(set(table["test"]) - {"none"}))
    basis = f"{count(len(episodes), 'episode')}, {count_errors(episodes)} with an error"
    if planned > len(episodes):
        basis += f"; the run is incomplete: {planned} are planned"
    if left_out := int(table.loc[table["measure"] == table["measure"].iloc[0], "n_left_out"].max()):
        basis += f"; up to {count(left_out, 'seed')} left out: not finished by both agents on every task"
    models = sorted(map(str, episodes["model"].unique()))
    lines = [
        basis,
        f"model: {', '.join(models)}{model_note(models)}",
        f"intervals (not corrected): {kinds or 'none'}",
        f"p: {tests or 'none'}; Holm: corrected over the agents compared on a measure and task",
        "detectable: smallest true difference found with 80% power on these seeds, at p < 0.05 uncorrected",
    ]
    return "\n".join(lines)
