"""One module per subcommand. Each has `add(commands)`, which registers its flags and the function that
turns them into calls of the package and returns the exit code."""

from babyai_kit.commands import clickhouse, compare, merge, player, reconcile, run

COMMANDS = (run, compare, reconcile, merge, clickhouse, player)
"""In the order of the help."""

__all__ = ["COMMANDS"]
