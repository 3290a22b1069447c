"""The models that a plan can name, and where a gateway finds each.

A name is one of the user's own `config/models.toml` (the gateway's TOML), a model of this machine, the
gateway's shorthand `provider::model`, or, bare, what the server of the settings calls its model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from babyai_kit.configuration.models import DEFAULT_MODEL, is_free
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.providers import key_in_clear, missing_keys, needed_keys, shorthand
from babyai_kit.configuration.remedies import Remedies, of_settings, remedies_of
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.toml_files import malformed, read_toml, tables, text
from babyai_kit.configuration.urls import base_url, checked_url
from babyai_kit.errors import ConfigError, InputError

OWN_MODELS = "models.toml"
"""The user's own models, in `config/`; Git ignores it."""

FLAG = "--models"
"""Which names a plan's models; in Python it is the argument `models`."""
OPENAI_KEY = "OPENAI_API_KEY"
CHAT = "chat_completions"
"""The gateway's name for the API that the adapter speaks."""
MODEL_ALIAS = "agent"
"""The model that follows the settings; it is not defined in `config/`."""
EXAMPLE_URL = "http://localhost:8000/v1"
_PASSED_ON = {
    *("type", "model_name", "api_base", "api_key_location", "api_type"),
    *("extra_body", "cost", "timeouts"),
}


@dataclass(frozen=True)
class Model:
    """A model that can play."""

    name: str
    """As tables, plans and digests call it."""
    served_name: str
    """As its server calls it."""
    provider: str = "openai"
    """The gateway's type of provider."""
    base_url: str = ""
    """Of its OpenAI-compatible server, asked through the kit's adapter, ending in a slash; empty for a model
    of this machine and for one that the gateway asks in its provider's own way."""
    definition: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The model's TOML as the gateway takes it; empty where the kit writes it."""
    missing: tuple[str, ...] = ()
    """Environment variables that its provider needs and that are not set."""

    @property
    def on_this_machine(self) -> bool:
        """True for the offline player and the local language model."""
        return is_free(self.name) and not self.base_url

    @property
    def asked_as(self) -> str:
        """The type of provider that the gateway takes it for: behind the adapter, OpenAI's."""
        return "openai" if self.base_url or self.on_this_machine else self.provider

    @property
    def gateway_name(self) -> str:
        """Its name at a gateway."""
        return gateway_name(self.name)


def named_in(name: str, settings: Settings) -> str:
    """Where the user named the model: the setting, else the flag."""
    alone = settings.variables.get("AGENT_MODEL") == name and "AGENT_MODELS" not in settings.variables
    if name in settings.models and not alone:
        return "AGENT_MODELS"
    return "AGENT_MODEL" if alone or name == settings.model else FLAG


def remedies(model: Model, settings: Settings) -> Remedies:
    """What to correct when its server refuses."""
    if not model.definition:
        place = named_in(model.name, settings)
        return of_settings("the name in --models or models=" if place == FLAG else place)
    keys = [key for provider in model.definition["providers"].values() for key in needed_keys(provider)]
    return remedies_of(model.provider, key=keys[0] if keys else "")


def gateway_name(model: str) -> str:
    """The name of `model` at a gateway, where `::` means a provider and a slash parts an address."""
    return re.sub(r"/+", "-", model.replace("::", ":"))


def served_as(variant: str, model: str) -> str:
    """The gateway's variant of `act` that is `variant` played by `model`."""
    return f"{variant}@{gateway_name(model)}"


def own_models(config: StrPath, settings: Settings) -> dict[str, Model]:
    """The models of `config`/models.toml by name; none if there is no such file.

    Raises ConfigError for a file that is not valid or defines anything else.
    """
    file = Path(config) / OWN_MODELS
    if not file.exists():
        return {}
    document = read_toml(file)
    if others := sorted(set(document) - {"models"}):
        raise ConfigError(
            f"{file} may define models only, and has {', '.join(others)}; move that to another file there"
        )
    found = tables(document, "models", str(file))
    if taken := next((name for name in found if is_free(name) or name == MODEL_ALIAS), None):
        raise ConfigError(f"{file}: the kit has another model named {taken}; choose another name")
    return {name: defined_model(name, found[name], settings, f"{file}: models.{name}") for name in found}


def defined_model(name: str, definition: Mapping[str, Any], settings: Settings, place: str) -> Model:
    """The model that the gateway's TOML defines. Raises ConfigError, with its `place`, if it is not valid."""
    routing, providers = definition.get("routing"), tables(definition, "providers", place)
    if not isinstance(routing, list) or not routing or routing[0] not in [*providers]:
        raise malformed(place, "routing", "a list of its providers")
    first = _provided(name, providers[routing[0]], settings, f"{place}.providers.{routing[0]}")
    missing = dict.fromkeys(key for p in providers.values() for key in missing_keys(p, environ_of(settings)))
    # Of several providers the gateway falls back to the next one, which an adapter would not know.
    address = first.base_url if len(providers) == 1 else ""
    return replace(first, base_url=address, definition=dict(definition), missing=tuple(missing))


def resolve(name: str, own: Mapping[str, Model], settings: Settings) -> Model:
    """The model that `name` stands for. Raises InputError for a name that can be none."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InputError(f"model {name!r} is not valid; name a model, like {DEFAULT_MODEL}")
    if name in own:
        return own[name]
    # A server may serve the offline player itself, as tests and benchmarks do.
    if is_free(name) and not (name == settings.model and settings.openai_base_url):
        return Model(name, name)
    if "::" in name and name != settings.model:
        return _provided(name, shorthand(name), settings, f"model {name}")
    if settings.offline and name != settings.model:
        defined = f"; {OWN_MODELS} has {', '.join(own)}" if own else ""
        raise InputError(
            f"model {name!r} needs a server: set OPENAI_API_KEY for OpenAI, OPENAI_BASE_URL for a server of "
            f"your own, or name a provider, like anthropic::{name}{defined}"
        )
    return Model(name, name, base_url=settings.openai_base_url)


def _provided(name: str, provider: Mapping[str, Any], settings: Settings, place: str) -> Model:
    """The model `name` at one provider, given as the gateway's TOML."""
    kind = text(provider, "type", place)
    for required in PROVIDERS[kind].required if kind in PROVIDERS else ():
        if required not in provider:
            raise malformed(place, required, "set")
    if in_clear := key_in_clear(provider):
        raise ConfigError(
            f"{place}: {in_clear} must say where the key is; put the key into .env, as in NAME=KEY, and "
            f'write {in_clear} = "env::NAME"'
        )
    address = checked_url(f"{place}.api_base", text(provider, "api_base", place, ""), EXAMPLE_URL)
    return Model(
        name=name,
        served_name=_served_name(provider, name, place),
        provider=kind,
        base_url=base_url(address or PROVIDERS[kind].address)[0] if _behind_adapter(provider, kind) else "",
        definition={"routing": [kind], "providers": {kind: dict(provider)}},
        missing=missing_keys(provider, environ_of(settings)),
    )


def _behind_adapter(provider: Mapping[str, Any], kind: str) -> bool:
    """Whether the kit's adapter can stand in front: it speaks OpenAI's chat completions, and passes on no
    options but these."""
    known = PROVIDERS.get(kind)
    if (
        known is None
        or not set(provider) <= _PASSED_ON
        or known.api != "openai"
        or provider.get("api_type", CHAT) != CHAT
    ):
        return False
    return bool(known.address or (known.takes_address and "api_base" in provider))


def environ_of(settings: Settings) -> dict[str, str]:
    """Variables as the gateway will find them."""
    key = {OPENAI_KEY: settings.openai_api_key} if settings.openai_api_key else {}
    return {**os.environ, **settings.variables, **settings.credentials, **key}


def _served_name(provider: Mapping[str, Any], name: str, place: str) -> str:
    for key in ("model_name", "model_id", "deployment_id", "endpoint_name"):
        if key in provider:
            return text(provider, key, place)
    return name


def check_apart(models: Iterable[Model]) -> None:
    """Raises InputError if two of `models` would be one at a gateway."""
    by_name: dict[str, Model] = {}
    for model in models:
        other = by_name.setdefault(model.gateway_name, model)
        if other.name != model.name:
            raise InputError(
                f"a gateway cannot tell apart the models {other.name} and {model.name}, which are both "
                f"{model.gateway_name} there; give one another name in config/models.toml"
            )


def needs(model: Model) -> str:
    """Which variables the model lacks, and what to do; empty if none."""
    if not model.missing:
        return ""
    return (
        f"{model.name} needs {' and '.join(model.missing)}, which is not set; add it to .env, or leave "
        "the model out"
    )
