"""The command lines that messages name, as a user types them."""

from __future__ import annotations

import shlex
from pathlib import Path

DEFAULT_RESULTS = "results"


def command_line(*words: str, results: str | Path = DEFAULT_RESULTS) -> str:
    """`python -m babyai_kit WORDS`, with the folder of the runs where it is not the usual one."""
    where = () if str(results) == DEFAULT_RESULTS else ("--results", str(results))
    return shlex.join(("python", "-m", "babyai_kit", *words, *where))
