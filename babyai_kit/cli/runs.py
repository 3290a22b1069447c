"""`runs`: which runs there are, and how far each is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import add_command, add_results

if TYPE_CHECKING:
    from babyai_kit.runs.run import Run

MAX_NAME, MAX_MODEL = 20, 15


def add(commands: Any) -> None:
    parser = add_command(commands, "runs", "list the runs, the latest first")
    add_results(parser)
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.cli.text_table import text_table
    from babyai_kit.errors import JournalError
    from babyai_kit.runs.commands import command_line
    from babyai_kit.runs.journal import run_folder
    from babyai_kit.runs.listing import run_names
    from babyai_kit.runs.run import Run

    rows, notes = [], []
    for name in run_names(args.results):
        try:
            run = Run.at(run_folder(args.results, name))
            row = _row(run) if run else ["", "", "in shards", "", ""]
        except JournalError as error:
            row = ["", "", "damaged", "", ""]
            notes.append(str(error))
        rows.append([_short(name, MAX_NAME), *row])
    if not rows:
        begin = command_line("run", "first", results=args.results)
        print(f"no run under {args.results} yet; begin one: {begin}")
        return 0
    print(text_table(["run", "model", "updated (UTC)", "done", "errors", "variants"], rows, labels=3))
    for note in notes:
        print(note)
    return 0


def _row(run: Run) -> list[str]:
    """Model, time of the latest command, done, errors, variants."""
    planned = set(run.planned())
    manifest = run.manifest
    present = [
        record
        for (key, digest), record in run.episode_records().items()
        if key in planned and manifest.is_present(key.variant, key.model, digest)
    ]
    errors = sum(record.status != "ok" for record in present)
    variants = {key.variant for key in planned}
    return [
        _short(", ".join(manifest.models), MAX_MODEL),
        manifest.updated[:16].replace("T", " "),
        f"{len(present) - errors:,} of {len(planned):,}",
        str(errors),
        str(len(variants)),
    ]


def _short(text: str, width: int) -> str:
    from babyai_kit.hostile_text import one_line

    return one_line(text, width - 1)
