"""A gateway over HTTP, seen from outside: is it there, and of which version.

It uses the routes that TensorZero documents for monitoring; the calls themselves are the client's.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from importlib import metadata

import aiohttp

from babyai_kit.configuration.proxies import proxy_for
from babyai_kit.configuration.settings import Settings
from babyai_kit.errors import GatewayError
from babyai_kit.gateway.episode_ids import MARGIN_S
from babyai_kit.gateway.refusals import clocks_apart, key_refused
from babyai_kit.hostile_text import one_line, parse_json

CLIENT_VERSION = metadata.version("tensorzero")

MAX_BYTES = 1_000_000
"""Read of an answer; a gateway's have some hundred bytes."""

MAX_WORDS = 200
"""Characters of a gateway's own text in a message."""


async def healthy(url: str, timeout_s: float, api_key: str = "") -> bool:
    """True if a gateway answers at `url` and says that it and its stores are well."""
    return (await _get(f"{url}/health", timeout_s, api_key)) is not None


async def check_gateway(settings: Settings, timeout_s: float = 5) -> None:
    """Look at the settings' gateway over HTTP without any call.

    Raises GatewayError if none answers, if it is not well, if it refuses its key, or if its clock is so far
    behind this machine's that it would refuse every episode.
    """
    where = settings.redact(settings.gateway_url)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as client,
            client.get(
                f"{settings.gateway_url}/health",
                headers=_authorization(settings.gateway_api_key),
                proxy=proxy_for(settings.gateway_url, os.environ),
            ) as reply,
        ):
            words = one_line((await reply.content.read(MAX_BYTES)).decode("utf-8", "replace"), MAX_WORDS)
            status, clock = reply.status, _date(reply.headers)
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError):
        raise GatewayError(
            f"no gateway answers at {where}; start it (make up) or unset TENSORZERO_GATEWAY_URL",
            kind="gateway",
        ) from None
    if status in (401, 403):
        raise key_refused(status, settings.redact(words))
    if status != 200:
        raise GatewayError(
            f"{where}/health answers {status}; check that a TensorZero gateway and its stores are running "
            f"there: {settings.redact(words)}",
            kind="gateway",
        )
    if clock is not None and time.time() - clock.timestamp() > MARGIN_S:
        raise clocks_apart(f"{where} would refuse every new episode", clock)


async def answers(url: str, timeout_s: float) -> bool:
    """True if `url` answers with status 200."""
    return (await _get(url, timeout_s)) is not None


async def gateway_version(url: str, api_key: str = "", timeout_s: float = 5) -> str | None:
    """What the gateway at `url` says of its version; None if it does not say."""
    status = await _get(f"{url}/status", timeout_s, api_key)
    version = status.get("version") if isinstance(status, dict) else None
    return version if isinstance(version, str) else None


async def version_note(url: str, api_key: str = "") -> str | None:
    """A line about a gateway whose version is not the client's, or None."""
    version = await gateway_version(url, api_key)
    if version is None or version == CLIENT_VERSION:
        return None
    return (
        f"the gateway is version {one_line(version, 40)} and the client {CLIENT_VERSION}; if calls are "
        f"refused, use tensorzero/gateway:{CLIENT_VERSION}"
    )


def _authorization(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def _date(headers: Mapping[str, str]) -> datetime | None:
    """The time by the server's clock, to the second."""
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, IndexError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


async def read_at_most(content: aiohttp.StreamReader, limit: int) -> bytes | None:
    """A body of at most `limit` bytes; None, without reading the rest, for a longer one."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def _get(url: str, timeout_s: float, api_key: str = "") -> object | None:
    """The JSON answer of status 200 ({} if it is not JSON), or None."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        proxy, headers = proxy_for(url, os.environ), _authorization(api_key)
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.get(url, headers=headers, proxy=proxy) as reply,
        ):
            if reply.status != 200:
                return None
            try:
                answer: object = parse_json(await read_at_most(reply.content, MAX_BYTES) or b"")
            except ValueError:
                return {}
            return {} if answer is None else answer
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError):
        # A proxy that cannot be used is a ConfigError, which is a ValueError.
        return None
