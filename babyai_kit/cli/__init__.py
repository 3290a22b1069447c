"""One module per command. Each has `add(commands)`, which registers the command's flags and a function that
calls the package with them and returns the exit code."""

from typing import Any

from babyai_kit.cli import (
    adapter,
    clickhouse,
    compare,
    completion,
    doctor,
    finetune,
    merge,
    player,
    reconcile,
    replay,
    report,
    run,
    runs,
    view,
)

COMMANDS = (
    run,
    runs,
    view,
    report,
    compare,
    replay,
    reconcile,
    merge,
    finetune,
    clickhouse,
    player,
    adapter,
    doctor,
    completion,
)
"""In the order of the help."""


def add_commands(parser: Any) -> None:
    """Give `parser` all commands."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)


__all__ = ["COMMANDS", "add_commands"]
