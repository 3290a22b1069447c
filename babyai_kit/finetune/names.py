"""The names that follow from one: of the runs, the job and the variant that belong to it.

Different names give different ones, so that two notebooks or two loops in one project never share any. What
would be too long or has a character that is not allowed gets a digest.
"""

from __future__ import annotations

import hashlib
import re

from babyai_kit.runs.journal import run_folder

MAX_SUFFIX = 40
"""Characters of a job's suffix; providers take 18 to 64 and shorten longer ones."""


def part_name(name: str, part: str) -> str:
    """The name of the run that is a `part` of what is called `name`, such as `first-learn-train`.

    Raises InputError if `name` is not a valid name of a run.
    """
    run_folder("", name)
    return f"{_shortened(name, 64 - len(part) - 1)}-{part}"


def tuned_name(variant: str, name: str, mark: str = "sft") -> str:
    """The name of what `variant` becomes in what is called `name`, such as `history_first_sft`."""
    whole = f"{variant}_{name}"
    allowed = re.sub(r"[^A-Za-z0-9_-]", "_", whole)
    if allowed != whole:
        # Another name may differ in these characters alone.
        allowed += f"_{_digest(whole)}"
    return f"{_shortened(allowed, 64 - len(mark) - 1)}_{mark}"


def job_suffix(name: str, mark: str = "") -> str:
    """What a job adds to its model's name, so that the provider's list tells whose it is."""
    end = f"-{mark}" if mark else ""
    return f"{name[: MAX_SUFFIX - len(end)]}{end}"


def _shortened(text: str, limit: int) -> str:
    """`text`, of which a digest replaces the end if it has more than `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 9]}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
