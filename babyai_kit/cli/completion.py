"""`completion SHELL`: a script that completes commands and flags in a shell."""

from __future__ import annotations

import argparse
from typing import Any

from babyai_kit.cli.arguments import add_command
from babyai_kit.cli.parser import Parser

SHELLS = ("bash", "zsh", "tcsh")
NOTES = """to use it in bash, add to ~/.bashrc:
  eval "$(babyai completion bash)"
in zsh, once:
  babyai completion zsh > ~/.zfunc/_babyai    # in a folder that $fpath names"""


def add(commands: Any) -> None:
    parser = add_command(commands, "completion", "print a script that completes commands in a shell")
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.notes = lambda: NOTES
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    import shtab

    from babyai_kit.cli import add_commands

    parser = Parser(prog="babyai")
    add_commands(parser)
    print(shtab.complete(parser, shell=args.shell))
    return 0
