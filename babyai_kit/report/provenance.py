"""How a run was made: its prompts, while they are still available."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from babyai_kit.configuration.models import HUMAN
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import ConfigError
from babyai_kit.runs.manifest import Manifest


@dataclass(frozen=True)
class Prompt:
    """A variant's prompt as it was, or why it cannot be shown."""

    variant: str
    digest: str
    templates: Mapping[str, str]
    """Template source by role; empty if it cannot be shown."""
    missing: str
    """Why it cannot; empty if it can."""


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
