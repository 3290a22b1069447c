"""The command line: the package's functions, with flags for their parameters.

The commands are in `cli/`, a module each. Exit codes: 0: all done; 1: some episodes ended by an error, or a
budget or a fatal answer stopped the run; 2: bad input, nothing was called; 130: interrupted; 141: nobody read
the output to its end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted; nothing was begun\n")
    os._exit(130)


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the process: among imports, an exception can get lost or become another."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = {number: default for number, default in defaults.items() if signal.getsignal(number) is default}
    try:
        for number in ours:
            signal.signal(number, _leave)
    except ValueError:  # not in the main thread, which alone gets signals
        ours = {}
    try:
        yield
    finally:
        for number, default in ours.items():
            signal.signal(number, default)


with _leaving_at_once():
    from babyai_kit.python_version import SUPPORTED, is_supported

    if not is_supported():
        # Before anything is imported that such a Python may not even have.
        version = sys.version.split()[0]
        sys.exit(f"error: this is Python {version}, but {SUPPORTED} is needed; run it with python3.12")

    from babyai_kit.missing_packages import missing_packages, remedy

    if sys.argv[1:2] == ["doctor"] and (missing := missing_packages()):
        # Whoever has no environment asks here what to do.
        print(f"{'ok':<8}{'Python':<12}{sys.version.split()[0]}, {sys.executable}")
        others = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        print(f"{'TROUBLE':<8}{'Packages':<12}{', '.join(missing[:3])}{others} missing; type: {remedy()}")
        sys.exit("1 problem. The other checks need these packages.")

    import argparse
    from collections.abc import Sequence

    try:
        from babyai_kit.cli import add_commands, process
        from babyai_kit.cli.colour import painted
        from babyai_kit.cli.parser import Parser, Version
        from babyai_kit.errors import InputError, KitError
        from babyai_kit.hostile_text import one_line
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        sys.exit(f"error: the package {package} is missing; type: {remedy()}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        return args.command(args)
    except InputError as error:
        _print_error(error)
        return 2
    except KitError as error:
        _print_error(error)
        return 1


def _print_error(error: KitError) -> None:
    print(painted("error:", "red", sys.stderr), one_line(str(error)), file=sys.stderr)


def run() -> None:
    """`main` as a whole process: the entry point of `babyai` and of `python -m babyai_kit`. Never returns."""
    process.run(main)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m babyai_kit",
        description="Measure and improve LLM agents on BALROG's BabyAI-Text.",
    )
    parser.add_argument("--version", action=Version)
    add_commands(parser)
    return parser


if __name__ == "__main__":
    run()
