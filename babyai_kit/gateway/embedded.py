"""The gateway in this process, made anew when a plan needs models that it does not know.

The wheel reads its configuration once, so that another one means another gateway; which one is open at a time
is the session's to say.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from babyai_kit.configuration.gateway_toml import snapshot_folder, write_snapshot
from babyai_kit.configuration.provider_toml import NO_TIMEOUT_MS
from babyai_kit.configuration.remedies import of_settings
from babyai_kit.configuration.served_models import OPENAI_KEY, check_apart, named_in
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import FINETUNED_FOLDER, Agent, Config
from babyai_kit.errors import ConfigError, ServiceError
from babyai_kit.gateway.model_servers import ModelServers
from babyai_kit.gateway.protocol import Gateway
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway

CLOSE_S = 30.0
"""Longest wait for the last rows of a gateway that another one takes the place of."""


class EmbeddedGateways:
    """Opens gateways over `config` and the agents asked for, which only grow in number."""

    def __init__(self, config: Config, servers: ModelServers, store_url: str) -> None:
        self._config = config
        self._servers = servers
        self._store_url = store_url
        self._agents: dict[str, Agent] = {}

    async def open(self, agents: Sequence[Agent]) -> TensorZeroGateway:
        """A gateway that knows `agents` and those of before.

        Raises ConfigError for a configuration that it refuses, StoreError or GatewayError.
        """
        check_apart([*(agent.model for agent in self._agents.values()), *(agent.model for agent in agents)])
        self._agents |= {agent.served_as: agent for agent in agents}
        known = list(self._agents.values())
        settings = self._config.settings
        fronts = await self._servers.fronts([agent.model for agent in known])
        if settings.offline:
            base_url, timeout_ms = (
                await self._servers.player(language_model_needed=False),
                settings.timeout_ms,
            )
        else:
            words = of_settings(named_in(settings.model, settings))
            base_url, timeout_ms = await self._servers.adapter(settings.openai_base_url, words), NO_TIMEOUT_MS
        registered_url = base_url
        if settings.openai_base_url and any((self._config.path / FINETUNED_FOLDER).glob("*.toml")):
            words = of_settings(f"the model in config/{FINETUNED_FOLDER}/")
            registered_url = await self._servers.adapter(settings.openai_base_url, words)
        keys = {**settings.credentials, OPENAI_KEY: settings.openai_api_key}
        with snapshot_folder() as folder:
            glob = write_snapshot(
                self._config,
                settings,
                folder,
                base_url=base_url,
                registered_url=registered_url,
                timeout_ms=timeout_ms,
                agents=known,
                fronts=fronts,
            )
            with exported(keys), redacted(settings):
                return await TensorZeroGateway.embedded(glob, self._store_url)

    async def serve(self, gateway: Gateway, agents: Sequence[Agent]) -> Gateway:
        """`gateway` if it knows `agents`, else another one that does, after the first has handed over its
        rows."""
        added = {agent.served_as: agent for agent in agents if agent.added}
        if all(name in self._agents and self._agents[name].model == added[name].model for name in added):
            return gateway
        another = await self.open(list(added.values()))
        await gateway.close(CLOSE_S)
        return another


@contextlib.contextmanager
def redacted(settings: Settings) -> Iterator[None]:
    """Keeps secrets out of the errors that starting a gateway raises."""
    try:
        yield
    except (ServiceError, ConfigError) as error:
        error.args = (settings.redact(str(error)),)
        raise


@contextlib.contextmanager
def exported(values: Mapping[str, str]) -> Iterator[None]:
    """`values` in the process environment for the length of the block; an empty one changes nothing."""
    before = {name: os.environ.get(name) for name, value in values.items() if value}
    os.environ.update({name: values[name] for name in before})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
