"""`report RUN`: the results of a run, as a page to read and as a summary for programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from babyai_kit.cli.arguments import add_command, add_filters, add_run, baseline, filters


def add(commands: Any) -> None:
    parser = add_command(commands, "report", "write report.html and summary.json of a run")
    add_run(parser)
    parser.add_argument(
        "--baseline",
        type=baseline,
        help="what the others are compared with: a variant, or variant=NAME,model=NAME (default: the first)",
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="FOLDER",
        nargs="?",
        const=Path(),
        help="write the figures as PNG files, too (default of FOLDER: img/ of the run)",
    )
    add_filters(parser)
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.figures import save_all
    from babyai_kit.report import write_report

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    report = write_report(
        args.run, results=args.results, baseline=args.baseline, filters=filters(args), say=say
    )
    for line in (report.standing, *report.notes):
        print(line)
    print(report.page)
    print(report.summary)
    if args.figures is not None:
        folder = report.page.parent / "img" if args.figures == Path() else args.figures
        saved = save_all(report.episodes, folder, report.baseline, failures=report.failures, say=say)
        print(f"{len(saved)} figures in {folder}/")
    return 0
