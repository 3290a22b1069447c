"""The agents of several models, as `make up` writes them for the gateway's container."""

from __future__ import annotations

from babyai_kit.atomic_files import write_atomically
from babyai_kit.cli.local_service import PLAYER, local_service
from babyai_kit.configuration import addresses
from babyai_kit.configuration.agents_toml import Front, agents_toml
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.providers import needed_keys
from babyai_kit.configuration.served_models import OPENAI_KEY, Model, needs, served_as
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import AGENTS_FILE, CHAT_VARIANT, Agent, Config, Variant
from babyai_kit.errors import InputError

PROVIDER_KEYS = tuple(
    dict.fromkeys(p.key for p in PROVIDERS.values() if p.key.endswith("_API_KEY") and p.key != OPENAI_KEY)
)
"""That the gateway's container is given."""


def write_agents(config: Config) -> list[str]:
    """Write the agents of AGENT_MODELS and of config/models.toml for the gateway image; a line for each model
    that is left out, since its provider's key is not set.

    The gateway reads config/models.toml too. Raises InputError for a key in it that its container lacks.
    """
    for model in config.own_models.values():
        providers = model.definition["providers"].values()
        needed = {key for provider in providers for key in needed_keys(provider)}
        if other := sorted(needed - {OPENAI_KEY, *PROVIDER_KEYS}):
            raise InputError(
                f"model {model.name} takes its key from {other[0]}, which the gateway's container lacks; "
                "add it to the gateway in docker-compose.yml, or use one of the variables there"
            )
    names = dict.fromkeys((*config.settings.models, *config.own_models))
    models = [config.model(name) for name in names]
    present = [model for model in models if not model.missing]
    crossed = [v for v in config.variants.values() if not v.own]
    crossed.append(Variant(CHAT_VARIANT, config.settings.model, "", {}, chats=True))
    agents = [Agent(v, model, served_as(v.name, model.name)) for model in present for v in crossed]
    fronts = {m.name: front for m in present if (front := _front(m, config.settings))}
    file = config.path / AGENTS_FILE
    text = agents_toml(
        config, agents, file, folder=config.path, fronts=fronts, defined=config.own_models.keys()
    )
    if agents or file.exists():
        write_atomically(file, text)
    return [needs(model) for model in models if model.missing]


def _front(model: Model, settings: Settings) -> Front | None:
    """Where the gateway's container asks `model`; None where it knows by itself."""
    if model.on_this_machine:
        return Front((local_service(settings) or PLAYER).address, gives_up=False)
    if not model.base_url:
        return None
    if model.base_url == settings.openai_base_url:
        return Front(addresses.COMPOSE_ADAPTER, gives_up=True)
    return Front(addresses.from_container(model.base_url), gives_up=False)
