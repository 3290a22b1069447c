"""One module per subcommand. Each has `add(commands)`, which registers its flags and the function that
turns them into calls of the package and returns the exit code."""

from babyai_kit.cli import (
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

COMMANDS = (run, report, compare, replay, reconcile, merge, finetune, clickhouse, player, doctor)
"""In the order of the help."""

__all__ = ["COMMANDS"]
