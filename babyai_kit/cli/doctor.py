"""`doctor`: what is configured, reachable and missing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from babyai_kit.cli.arguments import add_command
from babyai_kit.cli.colour import painted


def add(commands: Any) -> None:
    parser = add_command(commands, "doctor", "show what is configured, reachable and missing")
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.cli.finding import NOTE, OK, TROUBLE
    from babyai_kit.cli.health_checks import examine

    findings = asyncio.run(examine())
    colours = {OK: "green", NOTE: "yellow", TROUBLE: "red"}
    for finding in findings:
        grade, rest = str(finding)[: len(finding.grade)], str(finding)[len(finding.grade) :]
        print(painted(grade, colours[finding.grade], sys.stdout) + rest)
    count = sum(finding.grade == TROUBLE for finding in findings)
    if not count:
        print("All well.")
        return 0
    print("1 problem." if count == 1 else f"{count} problems.")
    return 1
