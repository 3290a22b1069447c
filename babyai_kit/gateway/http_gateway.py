"""A gateway over HTTP, seen from outside: is it there, and of which version.

It uses the routes that TensorZero documents for monitoring; the calls themselves are the client's.
"""

from __future__ import annotations

import asyncio
from importlib import metadata

import aiohttp

from babyai_kit.hostile_text import parse_json

CLIENT_VERSION = metadata.version("tensorzero")

MAX_BYTES = 1_000_000
"""Read of an answer; a gateway's have some hundred bytes."""


async def healthy(url: str, timeout_s: float) -> bool:
    """True if a gateway answers at `url` and says that it and its stores are well."""
    return await answers(f"{url}/health", timeout_s)


async def answers(url: str, timeout_s: float) -> bool:
    """True if `url` answers with status 200."""
    return (await _get(url, timeout_s)) is not None


async def gateway_version(url: str, timeout_s: float = 5) -> str | None:
    """What the gateway at `url` says of its version; None if it does not say."""
    status = await _get(f"{url}/status", timeout_s)
    version = status.get("version") if isinstance(status, dict) else None
    return version if isinstance(version, str) else None


async def version_note(url: str) -> str | None:
    """A line about a gateway whose version is not the client's, or None."""
    version = await gateway_version(url)
    if version in (None, CLIENT_VERSION):
        return None
    return (
        f"the gateway is version {version} and the client {CLIENT_VERSION}; if calls are refused, use "
        f"tensorzero/gateway:{CLIENT_VERSION}"
    )


async def read_at_most(content: aiohttp.StreamReader, limit: int) -> bytes | None:
    """A body of at most `limit` bytes; None, without reading the rest, for a longer one."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def _get(url: str, timeout_s: float) -> object | None:
    """The JSON answer of status 200 ({} if it is not JSON), or None."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(url) as reply:
            if reply.status != 200:
                return None
            try:
                answer: object = parse_json(await read_at_most(reply.content, MAX_BYTES) or b"")
            except ValueError:
                return {}
            return {} if answer is None else answer
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError):
        return None
