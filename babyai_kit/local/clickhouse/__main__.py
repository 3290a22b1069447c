"""`python -m babyai_kit.local.clickhouse`: the local ClickHouse as a process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from babyai_kit.configuration.addresses import LOCAL_CLICKHOUSE_PORT
from babyai_kit.local.clickhouse import serve


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and serve; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m babyai_kit.local.clickhouse",
        description="Serve ClickHouse over chDB on 127.0.0.1 until stopped.",
    )
    parser.add_argument("--path", default="data", help="data directory (default: data)")
    parser.add_argument(
        "--port",
        type=int,
        default=LOCAL_CLICKHOUSE_PORT,
        help=f"port, if free (default: {LOCAL_CLICKHOUSE_PORT})",
    )
    parser.add_argument(
        "--spawned", action="store_true", help="started by a user of it: stop after the last one"
    )
    arguments = parser.parse_args(argv)
    return serve(arguments.path, arguments.port, by_hand=not arguments.spawned)


if __name__ == "__main__":
    sys.exit(main())
