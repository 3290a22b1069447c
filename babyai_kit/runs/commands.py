"""The command lines that messages name, as a user types them."""

from __future__ import annotations

import shlex

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath


def command_line(*words: str, results: StrPath = PROJECT_RESULTS) -> str:
    """`python -m babyai_kit WORDS`, with the folder of the runs where it is not the usual one."""
    where = () if str(results) == str(PROJECT_RESULTS) else ("--results", str(results))
    return shlex.join(("python", "-m", "babyai_kit", *words, *where))
