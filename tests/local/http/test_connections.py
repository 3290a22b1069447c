"""Connections that keep a server waiting are closed or make room; those that are served stay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from babyai_kit.local.http.connections import HttpConnections, Patience

IMPATIENT = Patience(
    stranger_s=0.3, idle_s=0.3, head_s=0.3, body_s=0.3, min_bytes_per_s=1e6, take_s=0.3, check_s=0.05
)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Server:
    """Reads the body of a request, and responds with `response` when `proceed` is set."""

    def __init__(self, max_connections: int = 2000, patience: Patience | None = None) -> None:
        self.connections = HttpConnections(max_connections=max_connections, patience=patience)
        self.response = b"Ok."
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.handling = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.recognizes = True

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Server]:
        runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True))
        await runner.setup()
        async with self.connections.listen(runner, host="127.0.0.1", port=0) as listener:
            self.address = listener.sockets[0].getsockname()
            yield self
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if self.recognizes:
            self.connections.recognize(request)
        try:
            await request.read()
            self.handling.set()
            await self.proceed.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response(body=self.response)

    async def connect(self, head: bytes = b"") -> Link:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(head)
        return Link(reader, writer)


class Link:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def status(self) -> int | None:
        """Of the next response; None if the server closed the connection."""
        with contextlib.suppress(ConnectionError):
            line = await asyncio.wait_for(self.reader.readline(), 200)
            return int(line.split()[1]) if line else None
        return None

    async def body(self) -> bytes:
        """After `status`: the whole body. Raises IncompleteReadError if it was cut off."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return await self.reader.readexactly(size)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", None),
        (b"POST / HTTP/1.1\r\nHost: loc", 408),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc", 408),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", 408),
    ],
)
async def test_silence_is_not_waited_for(head, status):
    async with Server(patience=IMPATIENT).run() as server:
        link = await server.connect(head)
        assert await link.status() == status
        assert await link.reader.read() in (b"", b"Connection: close\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
    ],
)
async def test_a_byte_now_and_then_does_not_help(head):
    async with Server(patience=IMPATIENT).run() as server:
        link = await server.connect(head)
        with contextlib.suppress(ConnectionError):
            while not link.reader.at_eof():
                link.writer.write(b"x")
                await link.writer.drain()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(link.reader.read(1000), 0.05)


async def test_an_idle_client_is_closed_without_a_word():
    async with Server(patience=IMPATIENT).run() as server:
        link = await server.connect(GET)
        assert await link.status() == 200
        assert await link.body() == b"Ok."
        assert await link.reader.read() == b""


async def test_who_is_served_has_time():
    async with Server(patience=IMPATIENT).run() as server:
        server.proceed.clear()
        link = await server.connect(GET)
        await server.handling.wait()
        await asyncio.sleep(4 * IMPATIENT.idle_s)
        server.proceed.set()
        assert await link.status() == 200


async def test_who_takes_nothing_of_the_response_is_cut_off():
    async with Server(patience=IMPATIENT).run() as server:
        server.response = bytes(64 << 20)
        link = await server.connect(GET)
        link.writer.transport.pause_reading()
        await server.handling.wait()
        while len(server.connections):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        link.writer.transport.resume_reading()
        assert await link.status() == 200
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await link.body()


async def test_a_handler_ends_with_its_slow_client():
    async with Server(patience=IMPATIENT).run() as server:
        await server.connect(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        await asyncio.wait_for(server.cancelled.wait(), 200)


async def test_the_longest_waiting_stranger_makes_room():
    async with Server(max_connections=3).run() as server:
        known = await server.connect(GET)
        assert await known.status() == 200
        await known.body()
        first = await server.connect(b"GET / HT")
        second = await server.connect()
        third = await server.connect(GET)

        assert await third.status() == 200
        assert await first.status() is None
        for link in (second, known):
            link.writer.write(GET)
            assert await link.status() == 200


async def test_the_longest_idle_client_makes_room_where_there_is_no_stranger():
    async with Server(max_connections=2).run() as server:
        links = []
        for _ in range(3):
            link = await server.connect(GET)
            assert await link.status() == 200
            await link.body()
            links.append(link)
        assert await links[0].status() is None
        links[1].writer.write(GET)
        assert await links[1].status() == 200


async def test_while_all_are_served_there_is_no_room():
    async with Server(max_connections=2).run() as server:
        server.proceed.clear()
        served = []
        for _ in range(2):
            server.handling.clear()
            served.append(await server.connect(GET))
            await server.handling.wait()
        late = await server.connect(GET)
        assert await late.status() == 503
        server.proceed.set()
        assert [await link.status() for link in served] == [200, 200]


async def test_hordes_of_idle_connections_do_not_keep_a_client_out():
    async with Server(max_connections=20).run() as server:
        horde = [await server.connect(b"GET / HTTP/1.1\r\n") for _ in range(200)]
        for _ in range(5):
            link = await server.connect(GET)
            assert await link.status() == 200
            horde += [await server.connect() for _ in range(50)]
        for link in horde:
            link.writer.close()


async def test_a_header_that_is_not_text_is_refused():
    async with Server().run() as server:
        for header in (b"Expect: \xff", b"Origin: \xff\xfe", b"X-Any: \xc0\x80"):
            link = await server.connect(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
            assert await link.status() == 400
