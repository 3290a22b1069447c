"""The connections of a local server: how many there may be, and how long each may keep the server waiting.

Whoever is being served stays. Whoever only waits may have to go: the longest waiting first, and strangers
before clients that have shown that they may use the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import StreamReader, web

from babyai_kit.local.http.malformed import has_malformed_header

if sys.platform != "win32":
    import resource

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_BACKLOG = 1024
"""Connections that may wait to be accepted: a run opens as many at once as it has calls in flight."""

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Patience:
    """How long a server waits for a client, in seconds."""

    stranger_s: float = 30.0
    """For the first request of a connection."""
    idle_s: float = 900.0
    """For the next request of a client that is known. Clients give up their idle connections earlier."""
    head_s: float = 30.0
    """For the whole head of a request, from its first byte on."""
    body_s: float = 30.0
    """For the next piece of a body."""
    min_bytes_per_s: float = 1024.0
    """Average rate of a body that takes longer than `body_s`."""
    take_s: float = 60.0
    """For the client to take some of the response."""
    check_s: float = 1.0
    """Between two looks at all connections."""


class HttpConnections:
    """The connections to one aiohttp server."""

    def __init__(self, *, max_connections: int = 2000, patience: Patience | None = None) -> None:
        """`max_connections`: or half of the files that the process may open, if that is less."""
        self._max_connections = max_connections
        self.patience = patience or Patience()
        self._open: dict[asyncio.BaseTransport, _Connection] = {}
        self._waiting: dict[bool, dict[_Connection, None]] = {False: {}, True: {}}
        """Strangers' and known clients' connections without a request, in the order in which they began to
        wait."""

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @contextlib.asynccontextmanager
    async def listen(self, runner: web.BaseRunner, **address: Any) -> AsyncIterator[asyncio.Server]:
        """Let `runner`, which is set up, serve at `address` (host and port, or sock) until the end of the
        block. Raises OSError."""
        server = runner.server
        assert server is not None
        server.request_handler = self._accompany(server.request_handler)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: _Connection(self, server), backlog=_BACKLOG, **address)
        watch = asyncio.create_task(self._watch())
        try:
            yield listener
        finally:
            watch.cancel()
            listener.close()

    def recognize(self, request: web.Request) -> None:
        """Note that the client of `request` may use the server."""
        connection = self._open.get(request.transport) if request.transport else None
        if connection is not None:
            connection.known = True

    def admit(self, connection: _Connection) -> bool:
        """Add a connection, if need be in place of another; False if there is no place."""
        if len(self._open) >= self._limit():
            candidates = (one for waiting in self._waiting.values() for one in waiting)
            victim = next((one for one in candidates if not one.unsent_bytes()), None)
            if victim is None:
                return False
            victim.transport.abort()
            self.remove(victim)
        self._open[connection.transport] = connection
        self.wait_for(connection)
        return True

    def wait_for(self, connection: _Connection) -> None:
        """Note that it is the client's turn to send a request."""
        if connection.transport in self._open:
            self._waiting[connection.known][connection] = None

    def stop_waiting_for(self, connection: _Connection) -> None:
        """Note that a request is there."""
        for waiting in self._waiting.values():
            waiting.pop(connection, None)

    def remove(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection.transport, None)
        self.stop_waiting_for(connection)

    def _accompany(self, handler: Handler) -> Handler:
        """`handler`, such that it is known when a request begins and ends."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            connection = self._open.get(request.transport) if request.transport else None
            with connection.request(request.content) if connection else contextlib.nullcontext():
                if not has_malformed_header(request):
                    return await handler(request)
                response = web.Response(status=400, text="a header of the request is not valid UTF-8\n")
                response.force_close()
                return response

        return handle

    def _limit(self) -> int:
        if sys.platform == "win32":
            return self._max_connections
        return min(self._max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.patience.check_s)
            for connection in list(self._open.values()):
                connection.check(loop.time())


class _Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's protocol, and keeps the time."""

    transport: asyncio.Transport

    def __init__(self, table: HttpConnections, server: web.Server) -> None:
        self._table = table
        self._server = server
        self._http: asyncio.Protocol | None = None
        self._loop = asyncio.get_running_loop()
        self.known = False
        self._body: StreamReader | None = None
        """Of the request that is being handled."""
        self._since = self._loop.time()
        """When the client's turn began."""
        self._first = self._last = 0.0
        """When the first and the last bytes of this turn came; 0.0: none yet."""
        self._received = 0
        self._unsent, self._unsent_since = 0, 0.0

    @contextlib.contextmanager
    def request(self, body: StreamReader) -> Iterator[None]:
        """While a request is handled whose `body` may still be on its way."""
        self._body = body
        self._table.stop_waiting_for(self)
        try:
            yield
        finally:
            self._body = None
            self._since, self._first, self._received = self._loop.time(), 0.0, 0
            self._table.wait_for(self)

    def unsent_bytes(self) -> int:
        """Bytes of the response that the client has not taken yet, beyond what the kernel holds."""
        return self.transport.get_write_buffer_size()

    def check(self, now: float) -> None:
        """Close the connection if it has kept the server waiting for too long."""
        patience = self._table.patience
        unsent = self.unsent_bytes()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        if unsent:
            if now - self._unsent_since > patience.take_s:
                self.transport.abort()
            self._since = now
        elif self.transport.is_closing():
            self.transport.abort()
        elif self._is_late(now, patience):
            if self._first:
                self.transport.write(_TIMEOUT)
            self.transport.close()

    def _is_late(self, now: float, patience: Patience) -> bool:
        if self._body is None:
            if self._first:
                return now - self._first > patience.head_s
            return now - self._since > (patience.idle_s if self.known else patience.stranger_s)
        if self._body.is_eof():
            return False
        seconds = now - self._first
        slow = seconds > patience.body_s and self._received < seconds * patience.min_bytes_per_s
        return slow or now - self._last > patience.body_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._table.admit(self):
            self._http = self._server()
            self._http.connection_made(transport)
        else:
            transport.write(_TOO_MANY)
            transport.close()

    def data_received(self, data: bytes) -> None:
        self._last = self._loop.time()
        self._first = self._first or self._last
        self._received += len(data)
        if self._http is not None:
            self._http.data_received(data)

    def eof_received(self) -> bool | None:
        return self._http.eof_received() if self._http is not None else None

    def pause_writing(self) -> None:
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._http is not None:
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self)
        if self._http is not None:
            self._http.connection_lost(exc)
