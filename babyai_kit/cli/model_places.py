"""Where a configured model is asked: its servers, as far as they list their models, and its name at each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from babyai_kit.cli.model_list import ModelServer
from babyai_kit.configuration.gateway_toml import FINETUNED_FOLDER
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.providers import needed_keys
from babyai_kit.configuration.remedies import remedies_of
from babyai_kit.configuration.served_models import Model, environ_of
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.toml_files import read_toml, tables
from babyai_kit.configuration.urls import base_url
from babyai_kit.configuration.variants import FUNCTION, Config

ANTHROPIC = "https://api.anthropic.com/v1"

PARTIAL_LISTS = frozenset({"fireworks", "hyperbolic", "together"})
"""Types of providers that serve more than they list."""

KEY_PATHS = {"openrouter": "key"}
"""Where providers that list their models to anybody tell something of a key.

Source: https://openrouter.ai/docs/api-reference (get current API key)."""

_NAMES = ("model_name", "model_id", "deployment_id", "endpoint_name")


@dataclass(frozen=True)
class Place:
    """One provider of a model."""

    provider: str
    """The gateway's type of provider."""
    served_name: str
    """The model's name there."""
    shown: str
    """The provider, or its address where that is the user's own, without secrets."""
    server: ModelServer | None = None
    """Who lists its models; None: nobody does, so that only a call shows whether it answers."""


def places_of(model: Model, settings: Settings) -> tuple[Place, ...]:
    """In the order in which the gateway asks them; empty for a model of this machine, and for one that only a
    gateway over HTTP knows."""
    if model.on_this_machine:
        return ()
    if not model.definition:
        if not model.base_url:
            return ()
        server = ModelServer(model.base_url, settings.openai_api_key)
        return (Place("", model.served_name, server.shown, server),)
    providers, environ = model.definition["providers"], environ_of(settings)
    named = [name for name in model.definition["routing"] if name in providers]
    return tuple(_place(providers[name], model, environ) for name in named)


def configured_model(config: Config, name: str) -> Model:
    """The model called `name` as a run asks it: one that fine-tuning registered, at the server of the
    settings. Raises InputError for a name that can be none."""
    model = config.model(name)
    if model.provider == "openai" and model.definition and name in set(_registered(config)):
        return replace(model, base_url=config.settings.openai_base_url, definition={})
    return model


def _registered(config: Config) -> Iterator[str]:
    """Names of the models that fine-tuning registered."""
    for file in sorted((config.path / FINETUNED_FOLDER).glob("*.toml")):
        functions = tables(read_toml(file), "functions", str(file))
        for variant in functions.get(FUNCTION, {}).get("variants", {}):
            if variant in config.variants:
                yield config.variants[variant].model


def _place(table: Mapping[str, Any], model: Model, environ: Mapping[str, str]) -> Place:
    kind = str(table.get("type", ""))
    name = next((str(table[key]) for key in _NAMES if key in table), model.served_name)
    known = PROVIDERS.get(kind)
    if known is None:
        return Place(kind, name, kind)
    needed = needed_keys(table)
    key = next((environ[variable] for variable in needed if environ.get(variable, "").strip()), "")
    own = str(table["api_base"]) if known.takes_address and "api_base" in table else ""
    address = own or (ANTHROPIC if kind == "anthropic" else known.address)
    if not address:
        return Place(kind, name, known.name)
    server = ModelServer(
        base_url(address)[0],
        key.strip(),
        api="anthropic" if kind == "anthropic" else "openai",
        remedies=remedies_of(kind, key=needed[0] if needed else ""),
        key_path=KEY_PATHS.get(kind, ""),
    )
    return Place(kind, name, server.shown if own else known.name, server)
