"""`player`: serve the offline player by hand."""

from __future__ import annotations

from typing import Any

from babyai_kit.offline_player import cli


def add(commands: Any) -> None:
    parser = commands.add_parser("player", help="serve the offline player, which is no LLM")
    cli.add_arguments(parser)
    parser.set_defaults(command=cli.main)
