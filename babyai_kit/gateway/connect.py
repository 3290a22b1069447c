"""`connect()`: the TensorZero gateway, the model it uses and the store it writes to, as one session.

Knows how to start and find them, and in which order they end; nothing of episodes or prompts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from babyai_kit.configuration import addresses
from babyai_kit.configuration.gateway_toml import write_snapshot
from babyai_kit.configuration.models import LEARNER_MODEL, OFFLINE_MODEL, is_learner
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import Config, load_config
from babyai_kit.errors import ConfigError, GatewayError, ServiceError, StoreError
from babyai_kit.experiment.preflight import name_model
from babyai_kit.gateway.errors import understand
from babyai_kit.gateway.http_gateway import healthy, version_note
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.tensorzero_client import AsyncTensorZeroGateway, BaseTensorZeroError
from babyai_kit.local import learner
from babyai_kit.local.clickhouse import ensure_server
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.local.player.trainer import Trainer
from babyai_kit.store.gateway_tables import migrating


@asynccontextmanager
async def connect(
    *,
    env_file: str | Path | None = ".env",
    config: str | Path = "config",
    data: str | Path = "data",
    quiet: bool = False,
) -> AsyncIterator[Session]:
    """Open the gateway that the settings ask for, with its model and store; see README, Settings.

    `config`: directory of the TensorZero configuration. `data`: directory of the local ClickHouse.
    Unless `quiet`, prints what is in use. Raises ConfigError before anything is started if the settings
    or the configuration cannot work; StoreError or GatewayError if a service cannot be reached.
    """
    settings = load_settings(env_file)
    loaded = load_config(config, settings)
    async with contextlib.AsyncExitStack() as stack:
        store_url = settings.clickhouse_url
        if settings.gateway_url and not store_url:
            raise ConfigError(
                "TENSORZERO_GATEWAY_URL is set and TENSORZERO_CLICKHOUSE_URL is not; set it to the "
                "ClickHouse that the gateway writes to (with docker-compose.yml, CLICKHOUSE_PASSWORD will do)"
            )
        server = None
        if not store_url:
            server = await ensure_server(data)
            stack.callback(server.close)
            store_url = server.url
        base_url = settings.openai_base_url
        if settings.gateway_url:
            gateway = await _build_http(settings)
        else:
            if settings.offline:
                # Its fine-tuned models outlive this process; another one may use the folder at the same time.
                trainers = await _learner(settings, Path(data) / "learner", quiet)
                player = OfflinePlayer(folder=Path(data) / "player", trainers=trainers)
                base_url = (await stack.enter_async_context(player)).base_url
            async with migrating(server, data) if server else contextlib.nullcontext():
                gateway = await _build_embedded(settings, loaded, base_url, store_url)
        revive = _reviving(data) if server else None
        session = Session(gateway, loaded, settings, store_url, base_url, revive)
        del gateway
        # The gateway must go before the store and the player that it talks to.
        stack.push_async_callback(session.close)
        if not settings.model_named:
            await name_model(session)
        if not quiet:
            print(await describe(session))
        yield session


def _reviving(data: str | Path) -> Callable[[], Awaitable[None]]:
    """How a local server that died is started again: under its old URL, held by the session's first hold."""

    async def revive() -> None:
        (await ensure_server(data)).close()

    return revive


async def _learner(settings: Settings, folder: Path, quiet: bool) -> list[Trainer]:
    """The small language model to be served beside the offline player, where PyTorch is installed.

    Its base model is built now if it is the one that plays. Raises ConfigError if it can't be.
    """
    if settings.model != LEARNER_MODEL and not learner.available():
        return []
    made = learner.make_learner(folder, progress=not quiet)
    if settings.model == LEARNER_MODEL:
        await asyncio.to_thread(made.prepare)
    return [made]


async def _build_embedded(
    settings: Settings, config: Config, base_url: str, store_url: str
) -> AsyncTensorZeroGateway:
    with tempfile.TemporaryDirectory(prefix="babyai-config-") as folder:
        glob = write_snapshot(config, settings, folder, base_url=base_url)
        with _exported("OPENAI_API_KEY", settings.openai_api_key):
            try:
                return await AsyncTensorZeroGateway.build_embedded(  # type: ignore[misc]
                    config_file=glob, clickhouse_url=store_url
                )
            except BaseTensorZeroError as error:
                reason = settings.redact(" ".join(str(error).replace(folder + "/", "").split()))
                raise _build_error(reason) from None


def _build_error(reason: str) -> ServiceError | ConfigError:
    if "ConfigParsing" in reason or "Config {" in reason:
        message = reason.split('message: "', 1)[-1].split('" }', 1)[0]
        return ConfigError(f"the gateway refused the configuration; mend config/: {message}")
    if "ClickHouse" in reason:
        return StoreError(
            "the gateway cannot use ClickHouse; see that it runs and that TENSORZERO_CLICKHOUSE_URL is "
            f"right: {reason}"
        )
    return GatewayError(f"the gateway could not start; mend what it names: {reason}")


async def _build_http(settings: Settings) -> AsyncTensorZeroGateway:
    if not await healthy(settings.gateway_url, timeout_s=5):
        raise GatewayError(
            f"no gateway answers at {settings.redact(settings.gateway_url)}; start it (make up) or unset "
            "TENSORZERO_GATEWAY_URL",
            kind="gateway",
        )
    try:
        return await AsyncTensorZeroGateway.build_http(gateway_url=settings.gateway_url)  # type: ignore[misc]
    except BaseTensorZeroError as error:
        raise understand(error) from None


@contextlib.contextmanager
def _exported(name: str, value: str) -> Iterator[None]:
    """`name` in the process environment, only while the gateway is built: it reads the key then."""
    before = os.environ.get(name)
    if value:
        os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


async def describe(session: Session) -> str:
    """What is in use, a line each: model, gateway, store; and a gateway that stands unused."""
    settings = session.settings
    if settings.model == OFFLINE_MODEL:
        model = "offline player, which is NO language model (set OPENAI_API_KEY or OPENAI_BASE_URL for one)"
    elif is_learner(settings.model) and settings.offline:
        model = f"{settings.model}, a small language model trained on this machine (no hosted LLM)"
    else:
        price = "price unknown" if session.price is None else "price known"
        where = "the gateway" if settings.gateway_url else settings.redact(settings.openai_base_url)
        model = f"{settings.model} at {where} ({price})"
    store = "as TENSORZERO_CLICKHOUSE_URL says" if settings.clickhouse_url else "local server over chDB"
    gateway = settings.redact(settings.gateway_url) or "TensorZero, embedded in this process"
    lines = [
        f"Model:      {model}",
        f"Gateway:    {gateway}",
        f"ClickHouse: {store}",
    ]
    if session.embedded and await healthy(addresses.COMPOSE_GATEWAY, timeout_s=0.5):
        lines.append(
            f"Note:       a gateway answers on port {addresses.COMPOSE_GATEWAY_PORT}; to use it, set "
            f"TENSORZERO_GATEWAY_URL={addresses.COMPOSE_GATEWAY}"
        )
    note = None if session.embedded else await version_note(settings.gateway_url)
    if note:
        lines.append(f"Note:       {note}")
    return "\n".join(lines)
