"""`doctor`: what is configured, reachable and missing."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any


def add(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="say what is configured, reachable and missing")
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.cli.health_checks import examine

    findings = asyncio.run(examine())
    print(*findings, sep="\n")
    troubles = sum(finding.grade == "TROUBLE" for finding in findings)
    print(f"{troubles} trouble{'s' * (troubles != 1)}." if troubles else "All well.")
    return 1 if troubles else 0
