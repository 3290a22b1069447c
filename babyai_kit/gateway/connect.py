"""`connect()`: the gateway, the model it uses and the store it writes to, as one session.

How they are found or started, and in which order they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

from babyai_kit.agents.template_agent import SAMPLE_ARGUMENTS
from babyai_kit.configuration import addresses
from babyai_kit.configuration.dialects import Dialect
from babyai_kit.configuration.models import OFFLINE_MODEL, is_local_language_model, is_offline_player
from babyai_kit.configuration.project import PROJECT_CONFIG, PROJECT_DATA, PROJECT_ENV, StrPath
from babyai_kit.configuration.proxies import no_proxy
from babyai_kit.configuration.served_models import needs
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import Config, load_config
from babyai_kit.errors import ConfigError, InputError, ServiceError, show_in_one_line
from babyai_kit.gateway.embedded import EmbeddedGateways, exported, redacted
from babyai_kit.gateway.embeddings import Embeddings
from babyai_kit.gateway.http_gateway import check_gateway, healthy, version_note
from babyai_kit.gateway.model_servers import ModelServers
from babyai_kit.gateway.protocol import Gateway, Question
from babyai_kit.gateway.session import STORE_TIMEOUT_S, Session
from babyai_kit.gateway.storage_check import check_storage
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway
from babyai_kit.local.clickhouse import ensure_server
from babyai_kit.runs.plan import DEFAULT_MAX_TOKENS
from babyai_kit.store.gateway_tables import migrating


@asynccontextmanager
async def connect(
    *,
    env_file: StrPath | None = PROJECT_ENV,
    config: StrPath = PROJECT_CONFIG,
    data: StrPath = PROJECT_DATA,
    quiet: bool = False,
    store_timeout_s: float = STORE_TIMEOUT_S,
) -> AsyncIterator[Session]:
    """Open the gateway that the settings ask for, with its model and store; see docs/settings.md.

    `config`: directory of the TensorZero configuration. `data`: directory of the local ClickHouse.
    `store_timeout_s`: longest wait for a call that only ClickHouse delays. Unless `quiet`, prints what is in
    use. Raises ConfigError before anything is started if the settings or the configuration cannot work;
    StoreError or GatewayError if a service cannot be reached.
    """
    settings = load_settings(env_file)
    loaded = load_config(config, settings)
    settings = loaded.settings
    if settings.gateway_url and not settings.clickhouse_url:
        raise ConfigError(
            "TENSORZERO_GATEWAY_URL is set and TENSORZERO_CLICKHOUSE_URL is not; set it to the ClickHouse "
            "that the gateway writes to (with docker-compose.yml, CLICKHOUSE_PASSWORD is enough)"
        )
    async with contextlib.AsyncExitStack() as stack:
        stack.push(_interrupted_in_one_line)
        stack.enter_context(loopback_without_proxy())
        server = None
        store_url = settings.clickhouse_url
        if not store_url:
            server = await ensure_server(data)
            stack.callback(server.close)
            store_url = server.url
        model_url, embedded = settings.openai_base_url, None
        servers = await stack.enter_async_context(ModelServers(settings, data, quiet=quiet))
        if settings.gateway_url:
            gateway: Gateway = await _over_http(settings)
        else:
            embedded = EmbeddedGateways(loaded, servers, store_url)
            if settings.offline:
                model_url = await servers.player(
                    language_model_needed=is_local_language_model(settings.model)
                )
            async with migrating(server, data) if server else contextlib.nullcontext():
                gateway = await embedded.open(loaded.served_by_default())
        session = Session(
            gateway,
            loaded,
            settings,
            clickhouse_url=store_url,
            model_url=model_url,
            revive=_reviving(data) if server else None,
            serve=embedded.serve if embedded else None,
            embed=Embeddings(loaded, servers, stack).embed,
            store_timeout_s=store_timeout_s,
        )
        # The gateway must go before the store and the player that it talks to.
        stack.push_async_callback(session.close)
        if not settings.model_named:
            # The first call that is paid for.
            await check_storage(session)
            settings = dataclasses.replace(settings, model=await _model_name(session))
            loaded = load_config(config, settings)
            session = session.with_settings(loaded, loaded.settings)
        if not quiet:
            print(await describe(session))
        yield session


def _interrupted_in_one_line(kind: object, error: BaseException | None, trace: object) -> None:
    """A stop button is no fault of which a traceback tells."""
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        show_in_one_line(error, "Interrupted. Run this again to go on where it stopped.")


def _reviving(data: StrPath) -> Callable[[], Awaitable[None]]:
    """How a local server that died is started again: under its old URL, held by the session's first hold."""

    async def revive() -> None:
        (await ensure_server(data)).close()

    return revive


async def _over_http(settings: Settings) -> TensorZeroGateway:
    await check_gateway(settings)
    with redacted(settings):
        return await TensorZeroGateway.over_http(settings.gateway_url, settings.gateway_api_key)


async def _model_name(session: Session) -> str:
    """The name that the gateway's model server gives its model, if it answers now; else the settings'."""
    model = session.settings.model
    variant = next((v.name for v in session.config.variants.values() if v.model == model), None)
    if variant is None:
        return model
    question = Question(
        variant,
        session.new_episode_id(),
        SAMPLE_ARGUMENTS,
        seed=0,
        max_tokens=DEFAULT_MAX_TOKENS,
        dialect=Dialect("words"),
        dryrun=True,
    )
    try:
        return (await session.ask(question)).model or model
    except ServiceError:
        # The preflight reports it, when a plan needs the model.
        return model


@contextlib.contextmanager
def loopback_without_proxy() -> Iterator[None]:
    """Exempts this machine from any proxy while a session is open: the gateway and the client of ClickHouse
    read the environment when they open a connection."""
    proxied = any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in os.environ)
    value = no_proxy(os.environ) if proxied else ""
    with exported({"no_proxy": value, "NO_PROXY": value}):
        yield


def _of_several(config: Config, name: str) -> str:
    """What is to be said of one of several models."""
    try:
        model = config.model(name)
    except InputError as error:
        return str(error).removeprefix("model ")
    if model.missing:
        return needs(model)
    if model.on_this_machine:
        return (
            f"{name}, which is NO language model" if is_offline_player(name) else f"{name}, of this machine"
        )
    where = config.settings.redact(model.base_url) or model.provider
    return f"{name} at {where} ({'price unknown' if config.price_of(model) is None else 'price known'})"


async def describe(session: Session) -> str:
    """What is in use, a line each: model, gateway, store; and a gateway that is there and not used."""
    settings = session.settings
    names = session.config.default_models
    if settings.models or names[0] in session.config.own_models:
        model = "\n            ".join(_of_several(session.config, name) for name in names)
    elif settings.model == OFFLINE_MODEL:
        model = (
            "offline player, which is NO language model\n"
            "            (set OPENAI_API_KEY or OPENAI_BASE_URL for one)"
        )
    elif is_local_language_model(settings.model) and settings.offline:
        model = f"{settings.model}, a small language model on this machine"
    else:
        price = "price unknown" if session.price is None else "price known"
        where = "the gateway" if settings.gateway_url else settings.redact(settings.openai_base_url)
        model = f"{settings.model} at {where} ({price})"
    store = "as TENSORZERO_CLICKHOUSE_URL says" if settings.clickhouse_url else "local server over chDB"
    lines = [
        f"Model:      {model}",
        f"Gateway:    {settings.redact(settings.gateway_url) or 'TensorZero, embedded in this process'}",
        f"ClickHouse: {store}",
        *(f"Note:       {note}" for note in settings.notes),
    ]
    if session.embedded and await healthy(addresses.COMPOSE_GATEWAY, timeout_s=0.5):
        lines.append(
            f"Note:       a gateway answers on port {addresses.COMPOSE_GATEWAY_PORT}; to use it, set "
            f"TENSORZERO_GATEWAY_URL={addresses.COMPOSE_GATEWAY}"
        )
    note = None if session.embedded else await version_note(settings.gateway_url, settings.gateway_api_key)
    if note:
        lines.append(f"Note:       {note}")
    return "\n".join(lines)
