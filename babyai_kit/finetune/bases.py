"""Which models OpenAI fine-tunes, and until when; other servers are asked."""

from __future__ import annotations

import re
from datetime import date

from babyai_kit.configuration.models import base_model
from babyai_kit.configuration.retirements import FINE_TUNING_ENDS, is_openai, shutdown_of, when_is
from babyai_kit.errors import InputError
from babyai_kit.finetune.refusals import ELSEWHERE

BASES = (
    "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-2025-04-14",
    "gpt-4o-mini-2024-07-18",
    "gpt-4o-2024-08-06",
)
"""That OpenAI fine-tunes on examples of good answers."""

_NEVER = re.compile(r"gpt-([5-9]|\d\d)|o\d|chatgpt-")
"""Families of OpenAI that it does not fine-tune so; of other names its server knows better."""


def is_never_tuned(base: str, base_url: str) -> bool:
    """True if `base_url` is OpenAI's, and it does not fine-tune `base` (or what that was fine-tuned from)."""
    return bool(_NEVER.match(base_model(base))) and _at_openai(base_url)


def check_base(base: str, base_url: str, today: date | None = None) -> str | None:
    """The line to show before a job of `base` is created at `base_url`; None if there is nothing to say.
    `today`: by this machine's clock unless given.

    Raises InputError for a model that OpenAI does not fine-tune.
    """
    today = today or date.today()
    if is_never_tuned(base, base_url):
        living = [name for name in BASES if (shutdown_of(name) or date.max) > today]
        if today >= FINE_TUNING_ENDS or not living:
            raise InputError(
                f"OpenAI does not fine-tune {base}, and no other model since {FINE_TUNING_ENDS}; {ELSEWHERE}"
            )
        raise InputError(
            f"OpenAI does not fine-tune {base}, only {', '.join(living)}, and until {FINE_TUNING_ENDS}; set "
            f"AGENT_MODEL to one of these before the run, or {ELSEWHERE}"
        )
    if not _at_openai(base_url):
        return None
    if today < FINE_TUNING_ENDS:
        line = f"OpenAI creates fine-tuning jobs until {FINE_TUNING_ENDS}"
    else:
        line = f"OpenAI has created no fine-tuning jobs since {FINE_TUNING_ENDS}"
    if day := shutdown_of(base):
        gone = "leave" if day > today else "left"
        line += f"; {base} and what is fine-tuned from it {gone} its API {when_is(day, today)}"
    return line


def _at_openai(base_url: str) -> bool:
    """False without an address, as the offline player's: nobody goes to OpenAI then."""
    return bool(base_url) and is_openai("", base_url)
