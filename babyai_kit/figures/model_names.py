"""Models' names, short enough for a figure: without provider, path and date where these tell none apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

PROVIDER = re.compile(r"^[\w.-]+::")
"""The provider in the gateway's shorthand, `anthropic::claude-sonnet-4-5`."""
DATE = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2})(?=$|[-:@])")
"""The date of a model's version, as OpenAI, Anthropic and Google write it."""


def short_names(models: Iterable[str]) -> dict[str, str]:
    """By full name, the shortest of its forms that no other of these models has."""
    forms = {name: [*_forms(name), name] for name in sorted(set(models))}
    while clashing := [name for name, shown in _first(forms).items() if _uses(forms)[shown] > 1]:
        for name in clashing:
            forms[name] = forms[name][1:] or [name]
    return _first(forms)


def _first(forms: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: shown for name, (shown, *_) in forms.items()}


def _uses(forms: Mapping[str, Sequence[str]]) -> Counter[str]:
    return Counter(_first(forms).values())


def _forms(name: str) -> tuple[str, str]:
    """The name without provider, path and date; and with the date."""
    bare = PROVIDER.sub("", name)
    if bare.startswith("ft:") and bare.count(":") >= 2:
        _, base, *rest = bare.split(":")
        base = DATE.sub("", base)
        own = [part for part in rest[1:] if part]
        return ":".join(["ft", base, *own[:1]]), ":".join(["ft", base, *own])
    tail = bare.rstrip("/").rpartition("/")[2] or bare
    return DATE.sub("", tail), tail
