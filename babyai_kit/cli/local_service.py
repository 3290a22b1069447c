"""The service of docker-compose.yml that serves this machine's models, and whether TensorZero's form trains
there.

The form fine-tunes at OpenAI alone. The gateway's internal variable FORM_VARIABLE leads every call of type
openai to another server, whatever its api_base: those of the form and those of every model of that type. It
is set only where no such model is asked anywhere else.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urljoin

from babyai_kit.configuration import addresses
from babyai_kit.configuration.models import is_free, is_offline_player
from babyai_kit.configuration.served_models import Model
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config

FORM_VARIABLE = "TENSORZERO_INTERNAL_MOCK_PROVIDER_API"


class LocalService(NamedTuple):
    """A service and the profile that starts it."""

    profile: str
    address: str
    """As the other containers see it."""


PLAYER = LocalService("offline", addresses.COMPOSE_PLAYER)
LANGUAGE_MODEL = LocalService("local-model", addresses.COMPOSE_LANGUAGE_MODEL)
"""Serves the offline player too."""
PROFILES = (PLAYER.profile, LANGUAGE_MODEL.profile)


def local_service(settings: Settings) -> LocalService | None:
    """The one that the models of `settings` need; None if all of them are elsewhere."""
    named = [settings.model] if not settings.openai_base_url and settings.model_named else []
    local = [model for model in (*named, *settings.models) if is_free(model)]
    if any(not is_offline_player(model) for model in local):
        return LANGUAGE_MODEL
    return PLAYER if local or not settings.openai_base_url else None


def form_address(config: Config) -> tuple[str, str]:
    """The value of FORM_VARIABLE, which may be empty, and a line that says what it does or why it is not set.

    Both are empty without a language model of this machine.
    """
    if local_service(config.settings) is not LANGUAGE_MODEL:
        return "", ""
    if others := models_elsewhere(config):
        return "", (
            f"TensorZero's form cannot fine-tune on this machine while the gateway asks {others[0]} "
            "elsewhere; to change that, leave it out of .env and config/"
        )
    return urljoin(LANGUAGE_MODEL.address, "/"), (
        "TensorZero's form fine-tunes on this machine: every call of the gateway to a provider of type "
        "openai goes to the service language-model"
    )


def models_elsewhere(config: Config) -> list[str]:
    """Names of the gateway's models of type openai that are not served on this machine."""
    settings = config.settings
    of_server = [settings.model] if settings.openai_base_url else []
    names = dict.fromkeys((*of_server, *settings.models, *config.own_models))
    models = [*map(config.model, names), *(v.own for v in config.variants.values() if v.own)]
    return [model.name for model in models if _of_openais_type(model) and not is_free(model.served_name)]


def _of_openais_type(model: Model) -> bool:
    providers = model.definition.get("providers", {}).values()
    return model.asked_as == "openai" or any(provider.get("type") == "openai" for provider in providers)
