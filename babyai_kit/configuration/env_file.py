"""The file `.env`, as every part of the kit reads it."""

from __future__ import annotations

import io
from pathlib import Path

from dotenv import dotenv_values

from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import ConfigError


def read_env_file(path: StrPath | None) -> dict[str, str]:
    """The names in `path` that have a value; none if there is no such file.

    Raises ConfigError for a file that cannot be read or is not UTF-8 (with or without a byte order mark).
    """
    values = dotenv_values(stream=io.StringIO(env_text(path))) if path else {}
    return {name: value for name, value in values.items() if value}


def env_text(path: StrPath) -> str:
    """The text of `path`, empty if there is no such file. Raises ConfigError as `read_env_file` does."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); fix its permissions") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    # UTF-16 of ASCII text without a mark is valid UTF-8, with a zero after each letter.
    if "\0" in text:
        raise ConfigError(f"{path} is not UTF-8 text; save it again as UTF-8 (encoding: UTF-8, no BOM)")
    return text
