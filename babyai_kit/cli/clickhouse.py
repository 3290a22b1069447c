"""`clickhouse`: serve the local ClickHouse until interrupted."""

from __future__ import annotations

import argparse
from typing import Any

from babyai_kit.cli.arguments import add_command
from babyai_kit.configuration.addresses import LOCAL_CLICKHOUSE_PORT
from babyai_kit.configuration.project import PROJECT_DATA


def add(commands: Any) -> None:
    parser = add_command(commands, "clickhouse", "serve the local ClickHouse until interrupted")
    parser.add_argument(
        "--path",
        metavar="FOLDER",
        default=PROJECT_DATA,
        help="folder of its data (default: the project's data/)",
    )
    parser.add_argument(
        "--port", type=int, default=LOCAL_CLICKHOUSE_PORT, help="default: %(default)s, or a free one if taken"
    )
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.local.clickhouse import serve

    return serve(args.path, args.port, by_hand=True)
