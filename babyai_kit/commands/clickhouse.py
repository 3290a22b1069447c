"""`clickhouse`: serve the local ClickHouse by hand."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    parser = commands.add_parser("clickhouse", help="serve the local ClickHouse until interrupted")
    parser.add_argument("--path", default="data")
    parser.add_argument("--port", type=int, default=18123)
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.clickhouse import serve

    return serve(args.path, args.port, by_hand=True)
