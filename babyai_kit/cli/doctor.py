"""`doctor`: what is configured, reachable and missing."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from babyai_kit.cli.arguments import add_command


def add(commands: Any) -> None:
    parser = add_command(commands, "doctor", "show what is configured, reachable and missing")
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.cli.finding import TROUBLE
    from babyai_kit.cli.health_checks import examine

    findings = asyncio.run(examine())
    print(*findings, sep="\n")
    count = sum(finding.grade == TROUBLE for finding in findings)
    if not count:
        print("All well.")
        return 0
    print("1 problem." if count == 1 else f"{count} problems.")
    return 1
