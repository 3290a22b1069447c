"""What a run was asked for, as lines of a label and a text."""

from __future__ import annotations

from babyai_kit.hostile_text import visible
from babyai_kit.runs.commands import run_commands
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.plan import Plan
from babyai_kit.runs.plan_text import objects_text, seeds_text
from babyai_kit.viewer.contents import Contents

PACKAGES = ("python", "babyai-kit", "tensorzero", "minigrid")
"""Whose versions are shown."""


def plan_rows(contents: Contents) -> list[dict[str, str]]:
    """The run's plans, sampling and origin; empty while none of its manifests can be read."""
    manifest = contents.manifest
    if manifest is None:
        return []
    plans = list(dict.fromkeys(plan for other in contents.manifests for plan in other.plans))
    rows: list[tuple[str, str]] = []
    for number, plan in enumerate(plans, start=1):
        if len(plans) > 1:
            rows.append(("Plan", f"{number} of {len(plans)}"))
        rows += _plan(plan, manifest)
    rows += _sampling(manifest)
    rows += [("Command", line) for line in run_commands(manifest)]
    return [{"label": label, "value": visible(value)} for label, value in rows]


def _plan(plan: Plan, manifest: Manifest) -> list[tuple[str, str]]:
    return [
        ("Agents", ", ".join(plan.variants)),
        ("Models", ", ".join(dict.fromkeys(model for _, model in plan.agents(manifest.own_models)))),
        ("Tasks", ", ".join(plan.tasks)),
        ("Seeds", seeds_text(plan.seeds)),
        ("Repeats", str(plan.repeats)),
        ("Distracting objects", objects_text(plan.num_dists).partition(" ")[0]),
        ("History length", str(plan.history_length)),
    ]


def _sampling(manifest: Manifest) -> list[tuple[str, str]]:
    sampling = manifest.sampling
    rows = [
        (
            "Temperature",
            "the server's default" if sampling.temperature is None else str(sampling.temperature),
        ),
        ("Limit of an answer", f"{sampling.max_tokens:,} tokens"),
    ]
    if sampling.reasoning_effort is not None:
        rows.append(("Reasoning effort", sampling.reasoning_effort))
    if sampling.thinking_budget_tokens is not None:
        rows.append(("Thinking budget", f"{sampling.thinking_budget_tokens:,} tokens"))
    versions = [f"{name} {version}" for name in PACKAGES if (version := manifest.versions.get(name))]
    return [*rows, ("Gateway", manifest.gateway), ("Recorded with", ", ".join(versions))]
