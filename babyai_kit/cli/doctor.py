"""`doctor`: what is configured, reachable and missing; with `--ask`, what the models take."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import add_command, names
from babyai_kit.cli.colour import painted

if TYPE_CHECKING:
    from babyai_kit.cli.finding import Finding


def add(commands: Any) -> None:
    parser = add_command(commands, "doctor", "show what is configured, reachable and missing")
    parser.add_argument(
        "--ask",
        action="store_true",
        help="also ask the models a few short questions, which costs money: do they answer, in which form, "
        "which parameters do they take, do they see images",
    )
    parser.add_argument(
        "--models",
        type=names,
        metavar="NAME,...",
        default=[],
        help="look at these only (default: all that are configured), and ask these (default: those of "
        "AGENT_MODELS, else AGENT_MODEL)",
    )
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    return asyncio.run(_doctor(args.models, ask=args.ask))


async def _doctor(models: list[str], *, ask: bool) -> int:
    from babyai_kit.cli.finding import TROUBLE
    from babyai_kit.cli.health_checks import examine

    examination = await examine(models=models)
    findings = list(examination.findings)
    _show(findings)
    if ask and not any(finding.grade == TROUBLE and finding.part == "Settings" for finding in findings):
        from babyai_kit.cli.asking import ask_models

        print()
        asked = await ask_models(models, say=_say)
        _show(asked.findings)
        findings += asked.findings
        if asked.table:
            print(f"\n{asked.table}")
    elif examination.models:
        print(f"\n{examination.models}\n")
    count = sum(finding.grade == TROUBLE for finding in findings)
    if not count:
        print("All well.")
        return 0
    print("1 problem." if count == 1 else f"{count} problems.")
    return 1


def _say(line: str) -> None:
    print(line, flush=True)


def _show(findings: Iterable[Finding]) -> None:
    """A line each; on a terminal, in lines that fit it."""
    from babyai_kit.cli.finding import NOTE, OK, TROUBLE

    colours = {OK: "green", NOTE: "yellow", TROUBLE: "red"}
    for finding in findings:
        text = finding.in_columns() if sys.stdout.isatty() else str(finding)
        length = len(finding.grade)
        print(painted(text[:length], colours[finding.grade], sys.stdout) + text[length:])
