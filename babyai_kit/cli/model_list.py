"""What a model server says of its models: its list, which costs nothing, bounded in time and size.

Names come as the server writes them: they are hostile text.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from babyai_kit.configuration.proxies import is_near, proxy_for
from babyai_kit.configuration.remedies import OF_SETTINGS, Remedies
from babyai_kit.configuration.secrets import MIN_LENGTH
from babyai_kit.configuration.urls import endpoint, url_secrets, with_version
from babyai_kit.errors import KitError
from babyai_kit.gateway.http_gateway import read_at_most
from babyai_kit.hostile_text import one_line, parse_json
from babyai_kit.local.adapter.connections import connection_failure, proxy_refusal
from babyai_kit.local.adapter.failures import failure_of
from babyai_kit.local.adapter.words import MAX_WORDS, server_words

MAX_BYTES = 4_000_000
"""Read of a list; the longest known ones have some hundred kilobytes."""

ANTHROPIC_VERSION = "2023-06-01"
ANTHROPIC_PAGE = "1000"
"""Models on a page, as many as that API allows; it has some twenty."""

Api = Literal["openai", "anthropic"]


@dataclass(frozen=True)
class ModelServer:
    """Who is asked for a list. Equal ones are asked once."""

    base_url: str
    """Ending in a slash."""
    key: str = field(default="", repr=False)
    api: Api = "openai"
    remedies: Remedies = OF_SETTINGS
    key_path: str = ""
    """Below the base URL, what takes a key where the list takes none; empty: the list does."""

    def redact(self, text: str) -> str:
        """`text` without this server's secrets."""
        secrets = url_secrets(self.base_url) | {self.key}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if len(secret) >= MIN_LENGTH else text
        return text

    @property
    def shown(self) -> str:
        """Its address, without secrets."""
        return self.redact(self.base_url)

    @property
    def headers(self) -> dict[str, str]:
        if self.api == "anthropic":
            return {"x-api-key": self.key, "anthropic-version": ANTHROPIC_VERSION}
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(frozen=True)
class ModelList:
    """What came of asking."""

    status: int = 0
    """0 without an answer."""
    models: Mapping[str, date | None] = field(default_factory=dict)
    """By name, with the day from which each is not served if the list has it; none if it is no list, or too
    long a one."""
    better_url: str = ""
    """Another base URL that lists models, where this one does not."""
    failure: str = ""
    """Why there is no answer, and what to do; without secrets of the server."""
    key_refused: bool = False


async def list_models(server: ModelServer, timeout_s: float) -> ModelList:
    """Ask `server`. Never raises for what it answers or does not."""
    base = server.base_url
    try:
        proxy = proxy_for(base, os.environ)
    except KitError as error:
        return ModelList(failure=server.redact(str(error)))
    try:
        found = await _ask(server, base, proxy, timeout_s)
        if server.key_path and found.models:
            key = await _ask(server, base, proxy, timeout_s, server.key_path)
            found = key if key.key_refused else found
        if not (found.models or found.key_refused or found.failure) and _may_lack_version(server):
            elsewhere = await _ask(server, with_version(base), proxy, timeout_s)
            if elsewhere.models:
                return ModelList(found.status, better_url=server.redact(with_version(base)).rstrip("/"))
    except aiohttp.ClientError as error:
        # As a run says it; the library's text can hold a proxy's password.
        return ModelList(failure=server.redact(str(connection_failure(error, base, proxy))))
    except (asyncio.TimeoutError, ValueError) as error:
        reason = one_line(server.redact(str(error)), 300) or f"no answer within {timeout_s:g} s"
        remedy = "start it" if is_near(urlsplit(base).hostname or "") else "check the network connection"
        return ModelList(failure=f"{reason}; {remedy}, or correct its address")
    if found.failure:
        return found
    if found.status == 407:
        return ModelList(407, failure=str(proxy_refusal(407, proxy, "Proxy Authentication Required")))
    return found


def _may_lack_version(server: ModelServer) -> bool:
    return server.api == "openai" and not urlsplit(server.base_url).path.rstrip("/").endswith("/v1")


async def _ask(
    server: ModelServer, base: str, proxy: str | None, timeout_s: float, path: str = "models"
) -> ModelList:
    url = URL(endpoint(base, path), encoded=True)
    if server.api == "anthropic":
        url = url.update_query(limit=ANTHROPIC_PAGE)
    async with (
        # Unpacked, a short answer can have gigabytes.
        aiohttp.ClientSession(
            # The library's own context is as old as its import.
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers={"Accept-Encoding": "identity", **server.headers},
            auto_decompress=False,
        ) as client,
        # A run follows none either: the key would go elsewhere.
        client.get(url, proxy=proxy, allow_redirects=False) as reply,
    ):
        if 300 <= reply.status < 400:
            place = _place(reply.headers.get("Location", ""))
            return ModelList(
                reply.status, failure=str(failure_of(reply.status, place, remedies=server.remedies))
            )
        body = await read_at_most(reply.content, MAX_BYTES) or b""
    content = _parsed(body)
    if reply.status != 200:
        words = server_words(content, body[:MAX_WORDS].decode(errors="replace"))
        # Google refuses a key with status 400.
        refused = reply.status != 407 and failure_of(reply.status, words).kind == "key refused"
        return ModelList(reply.status, key_refused=refused)
    return ModelList(reply.status, _names(content))


def _parsed(body: bytes) -> object:
    """The body as JSON; None if it is not."""
    try:
        return parse_json(body)
    except ValueError:
        return None


def _names(answer: object) -> dict[str, date | None]:
    """The names and days in a list of models, whatever else is in it; some servers send the list alone."""
    models = answer.get("data") if isinstance(answer, dict) else answer
    rows = [row for row in models if isinstance(row, dict)] if isinstance(models, list) else []
    return {
        name: _day(row.get("shutdown_date"))
        for row in rows
        if isinstance(name := row.get("id"), str) and name.strip()
    }


def _place(location: str) -> str:
    """A redirect's target without what may be secret in it."""
    try:
        return one_line(str(URL(location).with_user(None).with_query(None).with_fragment(None)), 200)
    except ValueError:
        return ""


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if isinstance(text, str) else None
    except ValueError:
        return None
