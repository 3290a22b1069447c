"""How a run was made: the commands that make it again, and its prompts while they are still at hand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import ConfigError


@dataclass(frozen=True)
class Prompt:
    """A variant's prompt as it was, or why it cannot be shown."""

    variant: str
    digest: str
    templates: Mapping[str, str]
    """Template source by role; empty if it cannot be shown."""
    missing: str
    """Why it cannot; empty if it can."""


def commands(manifest: Mapping[str, Any]) -> list[str]:
    """The command line of each plan that the run was given, in order; every flag is written out."""
    sampling = manifest["sampling"]
    lines = []
    for plan in manifest.get("plans") or [manifest["plan"]]:
        words = ["python", "-m", "babyai_kit", "run", plan["run"]]
        words += ["--variants", ",".join(plan["variants"]), "--tasks", ",".join(plan["tasks"])]
        words += ["--seeds", _seeds(plan["seeds"]), "--num-dists", str(plan["num_dists"])]
        words += ["--repeats", str(plan["repeats"]), "--history-length", str(plan["history_length"])]
        if sampling["temperature"] is not None:
            words += ["--temperature", str(sampling["temperature"])]
        words += ["--max-tokens", str(sampling["max_tokens"])]
        words += ["--no-call-seeds"] * (not sampling["call_seeds"])
        lines.append(shlex.join(words))
    return lines


def prompts(manifest: Mapping[str, Any], config: str | Path) -> list[Prompt]:
    """The prompts of the run's variants, from `config` where its digest is still the run's."""
    try:
        variants = load_config(config, Settings()).variants
        reason = ""
    except ConfigError as error:
        variants, reason = {}, str(error)
    found = []
    for name, digest in manifest["digests"].items():
        variant = variants.get(name)
        if variant and variant.digest == digest:
            found.append(Prompt(name, digest, variant.templates, ""))
        else:
            now = f"the prompt has changed since; its digest is now {variant.digest}" if variant else reason
            found.append(Prompt(name, digest, {}, now or f"{config} has no such variant any more"))
    return found


def _seeds(seeds: Sequence[int]) -> str:
    first, end = seeds[0], seeds[0] + len(seeds)
    return f"{first}:{end}" if list(seeds) == list(range(first, end)) else ",".join(map(str, seeds))
