"""How a run was made: the commands that make it again, and its prompts while they are still available."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from babyai_kit.configuration.models import HUMAN
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import ConfigError
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.plan import Plan, Sampling
from babyai_kit.runs.plan_text import seeds_text


@dataclass(frozen=True)
class Prompt:
    """A variant's prompt as it was, or why it cannot be shown."""

    variant: str
    digest: str
    templates: Mapping[str, str]
    """Template source by role; empty if it cannot be shown."""
    missing: str
    """Why it cannot; empty if it can."""


def commands(manifest: Manifest) -> list[str]:
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
        return "python -m babyai_kit view"  # its page Play
    parts = ["python", "-m", "babyai_kit", "run", plan.run]
    for name, value in flags.items():
        if value is not None:
            parts += [f"--{name}", str(value)]
    if not sampling.call_seeds:
        parts.append("--no-call-seeds")
    return shlex.join(parts)


def prompts(manifest: Manifest, config: StrPath) -> list[Prompt]:
    """The prompts of the run's variants, from `config` where its digest is still the run's."""
    try:
        variants, unreadable = load_config(config, Settings()).variants, ""
    except ConfigError as error:
        variants, unreadable = {}, str(error)
    result = []
    agents = [(name, model, digest) for name, of in manifest.digests.items() for model, digest in of.items()]
    several = len({model for _, model, _ in agents}) > 1
    for variant_name, model, digest in agents:
        name = f"{variant_name}, {model}" if several else variant_name
        variant = variants.get(variant_name)
        templates: Mapping[str, str] = {}
        missing = ""
        if model == HUMAN:
            missing = "a person played, who is asked nothing"
        elif variant is None:
            missing = unreadable or f"{config} no longer has this variant"
        elif digest not in variant.digests:
            missing = f"the prompt has changed since; its digest is now {variant.digest}"
        else:
            templates = variant.templates
        result.append(Prompt(name, digest, templates, missing))
    return result
