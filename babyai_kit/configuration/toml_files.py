"""TOML files under `config/`, checked for the shape that the kit relies on; the gateway checks the rest."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyai_kit.errors import ConfigError
from babyai_kit.hostile_text import one_line

# tomlkit, which keeps comments for those who change a file, reads it 40 times as slowly.
if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of `file`. Raises ConfigError for what cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror}); restore it or its permissions"
        ) from None
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply; fix it or restore it") from None
    except ValueError as error:
        reason = one_line(str(error), 200)
        raise ConfigError(f"{file} is not valid TOML ({reason}); fix it or restore it") from None


def table(parent: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    """The table `name` in `parent`, empty if there is none.

    `place`: of the parent, for messages. Raises ConfigError if it is something else.
    """
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise malformed(place, name, "a table")
    return value


def tables(parent: Mapping[str, Any], name: str, place: str) -> dict[str, dict[str, Any]]:
    """The table `name` in `parent`, in which every entry is a table itself. Raises ConfigError."""
    entries = table(parent, name, place)
    return {entry: table(entries, entry, f"{place}: {name}") for entry in entries}


def text(parent: Mapping[str, Any], name: str, place: str, default: str | None = None) -> str:
    """The text `name` in `parent`, or the default. Raises ConfigError if it is something else, or absent."""
    value = parent.get(name, default)
    if not isinstance(value, str):
        raise malformed(place, name, "a text")
    return value


def malformed(place: str, name: str, expected: str) -> ConfigError:
    """The error for an entry of another form than expected."""
    return ConfigError(f"{one_line(place)}: {one_line(name)} must be {expected}; fix the file or restore it")
