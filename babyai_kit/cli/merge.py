"""`merge RUN`: join the shards of a run."""

from __future__ import annotations

import argparse
from typing import Any

from babyai_kit.cli.arguments import add_command, add_run


def add(commands: Any) -> None:
    parser = add_command(commands, "merge", "join the shards of a run")
    add_run(parser)
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.runs.shards import merge

    print(f"{merge(args.run, results=args.results)} episodes added to {args.results}/{args.run}")
    return 0
