"""One request to the model server: bounded in time and size, through the proxy and with the certificates
that the environment names, never redirected."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from babyai_kit.configuration.proxies import proxy_for
from babyai_kit.configuration.remedies import OF_SETTINGS, Remedies
from babyai_kit.configuration.urls import endpoint
from babyai_kit.errors import ModelError
from babyai_kit.local.adapter.body import unpacked
from babyai_kit.local.adapter.connections import connection_failure, proxy_refusal
from babyai_kit.local.adapter.failures import failure_of

MAX_BYTES = 4 * 1024**2
"""Of an answer. What follows is not read."""

CHUNK = 64 * 1024

CONNECT_S = 30.0
"""Longest wait for a connection: a server that loads its model accepts one at once."""

MAX_HEADER_BYTES, MAX_HEADERS = 64 * 1024, 512
"""Of one header of an answer, and their number: what stands before a server may add many."""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    whole: bool
    """False if the answer went on after MAX_BYTES."""
    charset: str | None
    """As the header Content-Type names it."""
    retry_after_s: float | None


class Upstream:
    """The model server at `base_url`. An async context manager.

    `timeout_s`: for one answer; `first_timeout_s`: until there has been one, since a server may load its
    model then and starts anew if its caller leaves. `path`: of what is asked, below the base URL.
    Raises ConfigError for a proxy that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        environ: Mapping[str, str],
        *,
        timeout_s: float,
        first_timeout_s: float,
        remedies: Remedies = OF_SETTINGS,
        path: str = "chat/completions",
    ) -> None:
        self._url = URL(endpoint(base_url, path), encoded=True)
        self._proxy = proxy_for(base_url, environ)
        self._timeout_s = timeout_s
        self._first_timeout_s = first_timeout_s
        self._remedies = remedies
        self._answered = False

    async def __aenter__(self) -> Upstream:
        self._client = aiohttp.ClientSession(
            # The library's own context is as old as its import.
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context()),
            # Compressed, a small answer could be a huge one.
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            # Every call is a caller of its own, and a cookie that cannot be read is no matter.
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """The server's answer, whatever its status. Raises ModelError if none came."""
        timeout_s = self._timeout_s if self._answered else self._first_timeout_s
        try:
            reply = await self._post(body, headers, timeout_s)
        except aiohttp.ConnectionTimeoutError as error:
            raise connection_failure(error, str(self._url), self._proxy) from None
        except asyncio.TimeoutError:
            raise ModelError(
                f"the model did not answer in time ({timeout_s:g} s); set a longer AGENT_TIMEOUT_MS or lower "
                "the concurrency",
                kind="timeout",
                retryable=True,
            ) from None
        except aiohttp.ClientError as error:
            raise connection_failure(error, str(self._url), self._proxy) from None
        self._answered = self._answered or 200 <= reply.status < 300
        return reply

    async def _post(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Reply:
        if self._url.user is not None:
            # Both are the header Authorization; the address's own are for this server.
            headers = {name: value for name, value in headers.items() if name != "Authorization"}
        request = self._client.post(
            self._url,
            data=body,
            headers=headers,
            proxy=self._proxy,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
        )
        async with request as response:
            if response.status == 407:
                raise proxy_refusal(407, self._proxy, response.reason or "")
            if 300 <= response.status < 400:
                place = _place(response.headers.get("Location", ""))
                raise failure_of(response.status, place, remedies=self._remedies)
            read = bytearray()
            async for chunk in response.content.iter_chunked(CHUNK):
                read += chunk
                if len(read) > MAX_BYTES:
                    # Not for another request: the rest is still under way.
                    response.close()
                    break
            plain = unpacked(bytes(read), response.headers.get("Content-Encoding", ""), MAX_BYTES + 1)
            return Reply(
                response.status,
                plain[:MAX_BYTES],
                whole=len(plain) <= MAX_BYTES,
                charset=response.charset,
                retry_after_s=retry_after_s(response.headers),
            )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the header Retry-After (seconds or a date; RFC 9110, 10.2.3) or its form in
    milliseconds says; None without one that can be read."""
    for name, unit_s in (("Retry-After-Ms", 0.001), ("Retry-After", 1.0)):
        value = headers.get(name, "").strip()
        try:
            seconds = float(value) * unit_s
        except ValueError:
            seconds = _until(value, headers.get("Date", ""))
        if 0 <= seconds < 1e9:
            return seconds
    return None


def _until(date: str, now: str) -> float:
    """Seconds from `now`, by the server's own clock where it tells, to `date`; negative if unreadable."""
    try:
        start = parsedate_to_datetime(now).timestamp() if now else time.time()
        return max(0.0, parsedate_to_datetime(date).timestamp() - start)
    except (ValueError, TypeError, OverflowError):
        return -1.0


def _place(location: str) -> str:
    """A redirect's target without what may be secret in it."""
    try:
        url = URL(location)
        return str(url.with_user(None).with_query(None).with_fragment(None)) if url.host else url.path
    except ValueError:
        return ""
