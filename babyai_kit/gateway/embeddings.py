"""Embeddings for agents, asked of a model's server directly.

The gateway would embed only what its own variants of in-context learning ask, in a prompt of its own form
and with the tokens of both calls in one figure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from babyai_kit.configuration.config import Config
from babyai_kit.configuration.models import EMBEDDING_MODEL, LANGUAGE_MODEL, is_local_language_model
from babyai_kit.configuration.providers import needed_keys
from babyai_kit.configuration.retirements import is_openai
from babyai_kit.configuration.served_models import Model, environ_of, needs, remedies
from babyai_kit.errors import InputError
from babyai_kit.gateway.model_servers import ModelServers
from babyai_kit.local.adapter import EmbeddingClient

NAME_IT = "name one that its server offers, as in --agents in_context:embedding=nomic-embed-text"


class Embeddings:
    """Embeds texts with the models of `config`; opens in `stack` what asks their servers, once each."""

    def __init__(self, config: Config, servers: ModelServers, stack: contextlib.AsyncExitStack) -> None:
        self._config = config
        self._servers = servers
        self._stack = stack
        self._clients: dict[str, EmbeddingClient] = {}

    async def embed(self, texts: Sequence[str], model: str = "") -> list[list[float]]:
        """The vectors of `texts` by `model`; empty: OpenAI's small one at OpenAI, this machine's without a
        server. Raises InputError for a model that cannot be asked, ConfigError, ModelError."""
        name = model or self._default()
        if name not in self._clients:
            client = await self._client(self._config.model(name))
            # Another call may have opened one meanwhile.
            if name not in self._clients:
                self._clients[name] = await self._stack.enter_async_context(client)
        return await self._clients[name].embed(texts)

    def _default(self) -> str:
        settings = self._config.settings
        if not settings.openai_base_url:
            return LANGUAGE_MODEL
        if is_openai(base_url=settings.openai_base_url):
            return EMBEDDING_MODEL
        raise InputError(f"no model for embeddings is known at the server of OPENAI_BASE_URL; {NAME_IT}")

    async def _client(self, model: Model) -> EmbeddingClient:
        settings = self._config.settings
        if lacks := needs(model):
            raise InputError(lacks)
        if is_local_language_model(model.name) and model.on_this_machine:
            address, key = await self._servers.player(language_model_needed=True), ""
        elif model.base_url:
            address, key = model.base_url, self._key(model)
        else:
            raise InputError(f"{model.name} cannot be asked for embeddings; {NAME_IT}")
        return EmbeddingClient(
            address,
            model.served_name,
            key=key,
            timeout_s=settings.timeout_s,
            first_timeout_s=settings.first_timeout_s,
            remedies=remedies(model, settings),
        )

    def _key(self, model: Model) -> str:
        if not model.definition:
            return self._config.settings.openai_api_key
        variables = environ_of(self._config.settings)
        providers = model.definition["providers"].values()
        keys = [variables.get(name, "") for provider in providers for name in needed_keys(provider)]
        return keys[0] if keys else ""
