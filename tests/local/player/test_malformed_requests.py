"""Requests from elsewhere and malformed ones are refused, and leave no traceback."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from babyai_kit.configuration.addresses import CONTAINERS_HOST
from babyai_kit.local.player import OfflinePlayer

HEAD = b"POST /v1/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\nContent-Length: %d\r\n\r\n"
BEYOND = "127.0.0.2"
"""Stands for an address that others reach, which no test listens on."""
FORM = b"Content-Type: multipart/form-data; boundary=a"


def post(path: bytes, headers: bytes, body: bytes) -> bytes:
    return HEAD % (path, headers, len(body)) + body


async def exchange(player: OfflinePlayer, raw: bytes) -> tuple[int, bytes]:
    """Status and all of the response."""
    host = urlsplit(player.base_url).hostname
    reader, writer = await asyncio.open_connection(host, player.port)
    writer.write(raw)
    response = await reader.read()
    writer.close()
    return int(response.split()[1]), response


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /v1/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        post(b"chat/completions", b"Expect: \xff", b"{}"),
        post(b"chat/completions", b"Content-Encoding: gzip", b"{}"),
        post(b"chat/completions", b"Transfer-Encoding: chunked", b"{}"),
        post(b"files", b"Content-Type: multipart/form-data", b"--a--"),
        post(b"files", FORM, b"--a"),
        post(b"files", FORM, b"--a\r\nX\r\n\r\n"),
        post(b"files", FORM, b"--a\r\n" + b"X: y\r\n" * 2000 + b"\r\n--a--"),
    ],
)
async def test_malformed_requests_are_refused_without_a_traceback(raw, caplog, capfd):
    async with OfflinePlayer() as player:
        status, _ = await exchange(player, raw)
    assert status == 400
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "header",
    [
        b"Host: evil.example",
        b"Host: 127.0.0.1:80@evil.example",
        b"Host: localhost\r\nOrigin: http://evil.example",
        b"Host: localhost\r\nOrigin: http://[::1",
        b"Host: localhost\r\nReferer: http://localhost:8888/",
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", BEYOND])
async def test_other_sites_are_refused(header, host):
    request = b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n" + header + b"\r\n\r\n"
    async with OfflinePlayer(host=host) as player:
        status, response = await exchange(player, request)
    assert status == 403
    assert b'"permission_error"' in response


@pytest.mark.parametrize("name", ["language-model:18124", "192.168.0.7", "[fe80::1]:80", BEYOND, "localhost"])
async def test_machines_nearby_are_served_where_they_are_let_in(name):
    request = f"GET /v1/models HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    async with OfflinePlayer(host=BEYOND) as player:
        assert (await exchange(player, request))[0] == 200


async def test_a_server_with_a_key_may_have_any_name():
    request = "GET /v1/models HTTP/1.1\r\nHost: models.example\r\nConnection: close\r\n%s\r\n"
    async with OfflinePlayer(host=BEYOND, api_key="k") as player:
        assert (await exchange(player, (request % "").encode()))[0] == 401
        assert (await exchange(player, (request % "Authorization: Bearer k\r\n").encode()))[0] == 200


async def test_containers_are_served():
    request = f"GET /v1/models HTTP/1.1\r\nHost: {CONTAINERS_HOST}:1\r\nConnection: close\r\n\r\n"
    async with OfflinePlayer() as player:
        assert (await exchange(player, request.encode()))[0] == 200
