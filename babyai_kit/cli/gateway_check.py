"""`doctor` on the gateway: is it there, does it take the key, and does it store where the kit reads?"""

from __future__ import annotations

from babyai_kit.cli.finding import NOTE, OK, TROUBLE, Finding
from babyai_kit.configuration import addresses
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config
from babyai_kit.errors import KitError, StoreError
from babyai_kit.gateway.connect import loopback_without_proxy
from babyai_kit.gateway.http_gateway import CLIENT_VERSION, check_gateway, gateway_version, healthy
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.storage_check import check_storage
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway
from babyai_kit.hostile_text import one_line


async def gateway(settings: Settings, config: Config) -> Finding:
    """The finding on the gateway of `settings`; the model is not asked."""
    if not settings.gateway_url:
        text = f"TensorZero {CLIENT_VERSION}, embedded"
        if await healthy(addresses.COMPOSE_GATEWAY, timeout_s=1):
            text += (
                f"; another one answers on port {addresses.COMPOSE_GATEWAY_PORT}, to use it set "
                f"TENSORZERO_GATEWAY_URL={addresses.COMPOSE_GATEWAY}"
            )
            return Finding(NOTE, "Gateway", text)
        return Finding(OK, "Gateway", text)
    where = settings.redact(settings.gateway_url)
    stores = ", stores in this ClickHouse"
    try:
        await check_gateway(settings)
        await _try_to_store(settings, config)
    except StoreError:
        # A ClickHouse that cannot be used has a finding of its own.
        stores = "; where it stores could not be seen"
    except KitError as error:
        return Finding(TROUBLE, "Gateway", settings.redact(str(error)))
    version = await gateway_version(settings.gateway_url, settings.gateway_api_key) or "an unknown version"
    if version != CLIENT_VERSION:
        text = (
            f"{where} is {one_line(version, 40)}, but the client is {CLIENT_VERSION}; use the same version "
            f"for both{stores.replace(',', ';')}"
        )
        return Finding(NOTE, "Gateway", text)
    return Finding(OK, "Gateway", f"TensorZero {version} at {where}{stores}")


async def _try_to_store(settings: Settings, config: Config) -> None:
    """Raises KitError if the gateway refuses its key, fails, or stores elsewhere."""
    if not settings.clickhouse_url:
        raise StoreError("TENSORZERO_CLICKHOUSE_URL is not set", kind="store")
    with loopback_without_proxy():
        gateway = await TensorZeroGateway.over_http(settings.gateway_url, settings.gateway_api_key)
        session = Session(gateway, config, settings, clickhouse_url=settings.clickhouse_url)
        try:
            await check_storage(session)
        finally:
            await session.close()
