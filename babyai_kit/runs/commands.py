"""The command lines that messages name, as a user types them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from babyai_kit.configuration.models import HUMAN
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.runs.plan import Plan, Sampling
from babyai_kit.runs.plan_text import seeds_text

if TYPE_CHECKING:
    from babyai_kit.runs.manifest import Manifest


def command_line(*words: str, results: StrPath = PROJECT_RESULTS) -> str:
    """`python -m babyai_kit WORDS`, with the folder of the runs where it is not the usual one."""
    where = () if str(results) == str(PROJECT_RESULTS) else ("--results", str(results))
    return shlex.join(("python", "-m", "babyai_kit", *words, *where))


def run_commands(manifest: Manifest) -> list[str]:
    """The command lines of the plans that the run was given, in order; every flag is written out."""
    return list(dict.fromkeys(_command(plan, manifest.sampling) for plan in manifest.plans))


def _command(plan: Plan, sampling: Sampling) -> str:
    flags = {
        "variants": ",".join(plan.variants),
        "models": ",".join(plan.models) or None,
        "tasks": ",".join(plan.tasks),
        "seeds": seeds_text(plan.seeds),
        "num-dists": plan.num_dists,
        "repeats": plan.repeats,
        "history-length": plan.history_length,
        "temperature": sampling.temperature,
        "max-tokens": sampling.max_tokens,
        "reasoning-effort": sampling.reasoning_effort,
        "thinking-budget": sampling.thinking_budget_tokens,
    }
    if set(plan.models) == {HUMAN}:
        return command_line("view")  # where people play
    parts = ["python", "-m", "babyai_kit", "run", plan.run]
    for name, value in flags.items():
        if value is not None:
            parts += [f"--{name}", str(value)]
    if not sampling.call_seeds:
        parts.append("--no-call-seeds")
    return shlex.join(parts)
