"""Plans in words: what one asks for, and how it differs from those that its run already holds."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from babyai_kit.environment import TASKS
from babyai_kit.environment.suites import suite_of
from babyai_kit.runs.plan import Plan
from babyai_kit.terminal_text import WIDTH, wrapped

_SEPARATOR = "; "


def seeds_text(seeds: Sequence[int]) -> str:
    """`200:220` for whole ranges, otherwise `1,5,9`: as the flag --seeds takes them."""
    first, end = seeds[0], seeds[0] + len(seeds)
    return f"{first}:{end}" if list(seeds) == list(range(first, end)) else ",".join(map(str, seeds))


def objects_text(num_dists: int) -> str:
    """`no distracting objects`, `1 distracting object`."""
    return f"{num_dists or 'no'} distracting object{'s' * (num_dists != 1)}"


def describe(plan: Plan, plans: Sequence[Plan]) -> str:
    """In one line, what tells the plan from the other `plans` of its run."""
    parts = _parts(plan)
    others = [_parts(other) for other in plans]
    return _SEPARATOR.join(text for name, text in parts.items() if any(o[name] != text for o in others))


def held_plans_note(plan: Plan, held: Sequence[Plan]) -> str | None:
    """What to say of the plans that a run holds beside `plan`; None if none of them has a variant of it.

    In lines for a terminal of 80 columns.
    """
    others = [p for p in held if not plan.asks_the_same(p) and set(p.variants) & set(plan.variants)]
    if not others:
        return None
    latest, now = _parts(others[-1]), _parts(plan)
    differing = [name for name in now if now[name] != latest[name]]
    number = "another plan" if len(others) == 1 else f"{len(others)} other plans, the latest"
    kept = (
        "Both are kept, and episodes of different settings are never averaged together. For a run of its "
        f"own, choose a new name, such as {_next_name(plan.run)!r}."
    )
    plans = {"there": latest, "this one": now}
    return "\n".join(
        [
            *wrapped(f"Run {plan.run!r} already holds {number}:"),
            *(
                _indented(name, _SEPARATOR.join(parts[part] for part in differing))
                for name, parts in plans.items()
            ),
            *wrapped(kept),
        ]
    )


def _indented(name: str, text: str) -> str:
    start = f"  {name:<10}"
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))


def _parts(plan: Plan) -> dict[str, str]:
    """The plan's parts in words, by field."""
    suite = suite_of(plan.tasks, [plan.num_dists])
    tasks = f"the suite {suite.name}" if suite else ", ".join(plan.tasks)
    if set(plan.tasks) == set(TASKS):  # also with another number of distractors
        tasks = f"all {len(TASKS)} tasks"
    repeats = "1 repeat" if plan.repeats == 1 else f"{plan.repeats} repeats"
    return {
        "variants": ", ".join(plan.variants),
        "models": f"models {', '.join(plan.models)}"
        if len(plan.models) > 1
        else f"model {''.join(plan.models)}",
        "tasks": tasks,
        "seeds": f"seeds {_short(seeds_text(plan.seeds))}",
        "history_length": f"history length {plan.history_length}",
        "num_dists": objects_text(plan.num_dists),
        "repeats": repeats,
    }


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def _next_name(run: str) -> str:
    """`first-2`, `first-3`."""
    match = re.fullmatch(r"(.+)-(\d{1,4})", run)
    name, number = (match[1], int(match[2]) + 1) if match else (run, 2)
    end = f"-{number}"
    return f"{name[: 64 - len(end)]}{end}"
