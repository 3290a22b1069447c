"""The command line: the package's functions, with flags for their parameters.

The commands are in `cli/`, a module each. Exit codes: 0: all done; 1: some episodes ended by an error, or a
budget or a fatal answer stopped the run; 2: bad input, nothing was called; 130: interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from babyai_kit.python_version import SUPPORTED, is_supported

if not is_supported():
    # Before anything is imported that such a Python may not even have.
    sys.exit(
        f"error: this is Python {sys.version.split()[0]}, but {SUPPORTED} is needed; run it with python3.12"
    )

try:
    from babyai_kit.cli import COMMANDS
    from babyai_kit.errors import InputError, KitError
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    sys.exit(f"error: the package {package} is missing; run: pip install -r requirements.txt")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        return args.command(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command continues where this one stopped", file=sys.stderr)
        return 130


def run() -> None:
    """`main` as a whole process: the entry point of `babyai` and of `python -m babyai_kit`. Never returns."""
    # A job scheduler's signal before it kills: as clean an end as Ctrl-C's.
    signal.signal(signal.SIGTERM, _interrupt)
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is flushed and closed; the gateway's threads can still crash an interpreter that unwinds.
    os._exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m babyai_kit",
        description="Measure and improve LLM agents on BALROG's BabyAI-Text.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    run()
