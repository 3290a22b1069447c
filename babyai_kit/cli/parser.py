"""argparse, with errors in one line that say what was probably meant, and helps that know the project."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from babyai_kit.cli.colour import painted
from babyai_kit.errors import what_there_is

_CHOICE = re.compile(r"(?:argument (\S+): )?invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)
_TYPE = re.compile(r"argument (\S+): invalid (int|float) value: (.*)", re.DOTALL)
_NUMBERS = {"int": "a whole number", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """`notes`: text below the help, made when the help is asked for, since it may take a while."""

    notes: Callable[[], str] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **options)

    def format_help(self) -> str:
        if self.notes:
            self.epilog = self.notes()
        return super().format_help()

    def print_help(self, file: Any = None) -> None:
        stream = file or sys.stdout
        heading = re.compile(r"^(usage|[a-z ]+)(?=:( |$))", re.MULTILINE)
        stream.write(heading.sub(lambda match: painted(match[0], "bold", stream), self.format_help()))

    def error(self, message: str) -> NoReturn:
        """One line, then exit code 2."""
        words = self._in_words(message)
        line = f"{words}{' See' if words.endswith('?') else '; see'} {self.prog} --help"
        print(f"{painted('error:', 'red', sys.stderr)} {line}", file=sys.stderr)
        raise SystemExit(2)

    def _in_words(self, message: str) -> str:
        if match := _CHOICE.match(message):
            what = "command" if match[1] in (None, "COMMAND", "STEP") else match[1]
            choices = [name.strip("' ") for name in match[3].split(",")]
            return f"unknown {what} {match[2]!r}; {what_there_is(match[2], choices)}"
        if match := _TYPE.match(message):
            return f"{match[1]}: {match[3]} is not {_NUMBERS[match[2]]}"
        if message.startswith("unrecognized arguments: "):
            flag = message.partition(": ")[2].split()[0].partition("=")[0]
            near = what_there_is(flag, sorted(set(_flags(self)))).partition(" There are")[0]
            return f"unknown argument {flag}" + (f"; {near}" if near.startswith("did you mean") else "")
        message = re.sub(r"^the following arguments are required: (.*)", r"\1 is missing", message)
        return re.sub(r"^argument (\S+): ", r"\1: ", message)


class Version(argparse.Action):
    """Prints the versions of what a question about the kit is about."""

    def __init__(self, option_strings: list[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print versions")

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        import platform
        from importlib import metadata

        kit, gateway = (_version(metadata.version, name) for name in ("babyai-kit", "tensorzero"))
        print(f"babyai-kit {kit} (TensorZero {gateway}, Python {platform.python_version()})")
        parser.exit()


def _version(version: Callable[[str], str], package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "not installed"


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every flag of `parser` and of its commands."""
    for action in parser._actions:
        yield from (flag for flag in action.option_strings if flag.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _flags(command)
