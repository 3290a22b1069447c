"""`compare RUN`: every agent of a run against a baseline, as tables to read."""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import add_command, add_filters, add_run, baseline, filters, names

if TYPE_CHECKING:
    import pandas as pd

    from babyai_kit.runs.records import EpisodeKey
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
    from babyai_kit.stats import ALL_TASKS, compare, measure_of, reasons, usual_baseline

    run = Run.open(args.run, results=args.results)
    selection = select(run, run.episodes(), filters(args))
    episodes = selection.rows(run.episodes())
    base = usual_baseline(episodes, args.baseline, run.manifest.models)
    table = compare(episodes, base, measures=args.measures)
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
        in_points = " in points" if measure.difference_unit == "points" else ""
        print(f"\n{measure.title}, difference from {rows['baseline'].iloc[0]}{in_points}")
        print(readable(rows, measure, selection.planned))
        print(verdicts(rows, measure, selection.planned))
    print(f"\n{_notes(episodes, table, len(selection.planned))}")
    for note in selection.notes(f"python -m babyai_kit compare {run.name}{results_flag(args.results)}"):
        print(note)
    return 0


def readable(rows: pd.DataFrame, measure: Measure, planned: Sequence[EpisodeKey]) -> str:
    """Rows of `compare` as text: a table for each task, tasks and agents in the order of `planned`."""
    from babyai_kit.cli.text_table import text_table
    from babyai_kit.stats import ALL_TASKS, UNKNOWN, agent_columns, p_value_text

    tasks = [ALL_TASKS, *dict.fromkeys(key.task for key in planned)]
    place = _places(planned)
    cells, heads = [], []
    ordered = sorted(rows.to_dict("records"), key=lambda row: (tasks.index(row["task"]), *place(row)))
    for row in ordered:
        if row["task"] not in heads:
            heads.append(row["task"])
            base = f"{row['task']}: {row['baseline']} {measure.text(row['baseline_value'])}"
            counts = sorted({other["n_seeds"] for other in ordered if other["task"] == row["task"]})
            seeds = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
            cells.append([f"{base}, {seeds} seeds", *[""] * 5])
        low, high = (measure.difference(row[end]) for end in ("low", "high"))
        cells.append(
            [
                f" {', '.join(str(row[column]) for column in agent_columns(rows))}",
                measure.number(row["value"]),
                measure.difference(row["difference"]),
                UNKNOWN if math.isnan(row["low"]) else f"{low} to {high}",
                p_value_text(row["p_holm"]),
                measure.number(row["detectable"]),
            ]
        )
    return text_table(["", "value", "difference", "95% interval", "p Holm", "detectable"], cells)


def verdicts(rows: pd.DataFrame, measure: Measure, planned: Sequence[EpisodeKey]) -> str:
    """A sentence for each agent, over all tasks or, of one task, on this."""
    from babyai_kit.stats import ALL_TASKS, agent_columns, verdict

    overall = rows[rows["task"] == (ALL_TASKS if (rows["task"] == ALL_TASKS).any() else rows["task"].iloc[0])]
    ordered = sorted(overall.to_dict("records"), key=_places(planned))
    names = [", ".join(str(row[column]) for column in agent_columns(rows)) for row in ordered]
    sentences = [verdict(name, row, measure) for name, row in zip(names, ordered, strict=True)]
    return "\n".join(textwrap.fill(sentence, 80, subsequent_indent="  ") for sentence in sentences)


def _places(planned: Sequence[EpisodeKey]) -> Callable[[Mapping[Any, Any]], tuple[int, int]]:
    """By a row of `compare`, the place of its agent in the plan: models one after the other."""
    models = list(dict.fromkeys(key.model for key in planned))
    variants = list(dict.fromkeys(key.variant for key in planned))
    return lambda row: (models.index(row["model"]) if "model" in row else 0, variants.index(row["variant"]))


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
        f"p Holm: {tests or 'none'}, corrected over the agents compared on a measure and task",
        "detectable: smallest true difference found with 80% power on these seeds, at p < 0.05 uncorrected",
    ]
    return "\n".join(textwrap.fill(line, 80, subsequent_indent="  ") for line in lines)
