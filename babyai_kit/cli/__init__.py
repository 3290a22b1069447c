"""One module per command. Each has `add(commands)`, which registers the command's flags and a function that
calls the package with them and returns the exit code."""

from babyai_kit.cli import (
    adapter,
    clickhouse,
    compare,
    doctor,
    finetune,
    merge,
    player,
    reconcile,
    replay,
    report,
    run,
)

COMMANDS = (run, report, compare, replay, reconcile, merge, finetune, clickhouse, player, adapter, doctor)
"""In the order of the help."""

__all__ = ["COMMANDS"]
