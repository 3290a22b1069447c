"""The TOML of agents for a gateway: a model for each, and a variant of `act` that names both.

One text serves the embedded gateway's copy of the configuration and, as a file in `config/`, the gateway
image.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomlkit

from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.provider_toml import NO_TIMEOUT_MS, cost_toml, timeouts
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.served_models import OPENAI_KEY, OWN_MODELS, Model, gateway_name
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.toml_files import read_toml
from babyai_kit.configuration.variants import AGENTS_FILE, CHAT_FUNCTION, FUNCTION, MODEL_ALIAS, Agent, Config
from babyai_kit.errors import InputError

BESIDE = "container"
"""Ends the name of a model that is defined twice."""


class Front(NamedTuple):
    """What a gateway asks in place of a model's own provider: an OpenAI-compatible server."""

    address: str
    gives_up: bool
    """True if it gives an answer up in time, so that the gateway need not."""


def agents_toml(
    config: Config,
    agents: Sequence[Agent],
    file: StrPath,
    *,
    folder: StrPath,
    fronts: Mapping[str, Front],
    defined: Collection[str] = (),
) -> str:
    """The TOML of `agents` for the `file` beside or in `folder`, a copy of the configuration's.

    `fronts`: by model; any other is asked in its provider's way. `defined`: models that another file of the
    gateway defines; of those with a front it gets another one beside them. Agents that `config/` serves by
    itself are left out.
    """
    added = [agent for agent in agents if agent.added]
    models: dict[str, Any] = {}
    variants: dict[str, Any] = {}
    chats: dict[str, Any] = {}
    for agent in added:
        model, front = agent.model, fronts.get(agent.model.name)
        name = model.gateway_name if model.name not in defined else model.name
        if front and model.name in defined:
            name = f"{name}@{BESIDE}"
        if agent.variant.chats:
            plain = agent.served_as == gateway_name(agent.variant.name)
            chats[agent.served_as] = {"type": "chat_completion", "model": MODEL_ALIAS if plain else name}
            if plain:
                continue
        else:
            variants[agent.served_as] = {**variant_table(agent.variant.name, folder, file), "model": name}
        if name in models or (model.name in defined and not front):
            continue
        definition = _definition(model, config.settings, front)
        timeout_ms = NO_TIMEOUT_MS if front and front.gives_up else config.settings.timeout_ms
        cost = tomlkit.parse(cost_toml(config.price_of(model), model.asked_as)).unwrap()
        for provider in definition["providers"].values():
            provider.setdefault("timeouts", timeouts(timeout_ms))
            for field, value in cost.items():
                provider.setdefault(field, value)
        models[name] = definition
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by the kit: the models of a plan, and a variant for each agent."))
    if added:
        document |= {"models": models} if models else {}
        functions = {FUNCTION: variants, CHAT_FUNCTION: chats}
        document["functions"] = {name: {"variants": of} for name, of in functions.items() if of}
    return tomlkit.dumps(document)


def _definition(model: Model, settings: Settings, front: Front | None) -> dict[str, Any]:
    if front is None:
        providers = {name: dict(p) for name, p in model.definition["providers"].items()}
        return {**model.definition, "providers": providers}
    options, of_provider = dict(model.definition), {}
    if options:
        (of_provider,) = options.pop("providers").values()
        of_provider = {name: value for name, value in of_provider.items() if name != "api_type"}
    provider = {
        "type": "openai",
        "model_name": model.served_name,
        "api_base": front.address,
        "api_key_location": _key_location(model, settings),
    }
    # The provider's name is what ClickHouse and the UI show.
    return {
        **options,
        "routing": [model.provider],
        "providers": {model.provider: {**of_provider, **provider}},
    }


def _key_location(model: Model, settings: Settings) -> Any:
    if model.on_this_machine:
        return "none"
    if not model.definition:
        return f"env::{OPENAI_KEY}" if settings.openai_api_key else "none"
    (provider,) = model.definition["providers"].values()
    default = f"env::{PROVIDERS[model.provider].key}"
    return provider.get("api_key_location", default)


def variant_table(name: str, config: StrPath, file: StrPath) -> dict[str, Any]:
    """The settings of the variant `name` in the folder `config`, with its paths relative to `file`.

    Raises InputError if there is none.
    """
    file, config = Path(file), Path(config)
    for source in sorted(config.rglob("*.toml")):
        if source.name in (OWN_MODELS, AGENTS_FILE) and source.parent == config:
            continue
        functions = read_toml(source).get("functions", {})
        variant: dict[str, Any] | None = functions.get(FUNCTION, {}).get("variants", {}).get(name)
        if variant is None:
            continue
        for template in variant.get("templates", {}).values():
            path = (source.parent / template["path"]).resolve()
            template["path"] = Path(os.path.relpath(path, file.parent.resolve())).as_posix()
        return variant
    raise InputError(f"no variant {name!r} in {config}; choose an existing one")
