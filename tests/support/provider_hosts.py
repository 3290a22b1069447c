"""Providers whose address nobody can change, behind an HTTPS proxy: what the gateway sends to them arrives
here."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

HOSTS = (
    "api.deepseek.com",
    "api.fireworks.ai",
    "api.groq.com",
    "api.mistral.ai",
    "api.together.xyz",
    "api.x.ai",
    "example.openai.azure.com",
    "generativelanguage.googleapis.com",
    "openrouter.ai",
)


@dataclass
class Arrival:
    """One request to a provider; one to read something has an empty body."""

    host: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class ProviderHosts:
    """`arrivals` in order; `answer` makes the response to one."""

    answer: Callable[[Arrival], Any] = lambda arrival: web.Response(status=404)
    arrivals: list[Arrival] = field(default_factory=list)


@asynccontextmanager
async def provider_hosts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderHosts]:
    """Every gateway that is built in the block finds these hosts here. `folder`: for certificates; the test
    is skipped where there is no openssl to make them with."""
    hosts = ProviderHosts()
    authority, context = _certificates(folder)

    async def arrive(http: web.Request) -> web.StreamResponse:
        body = await http.json() if http.can_read_body else {}
        hosts.arrivals.append(Arrival(http.host, http.path, dict(http.headers), body))
        reply = hosts.answer(hosts.arrivals[-1])
        if inspect.isawaitable(reply):
            reply = await reply
        return reply if isinstance(reply, web.StreamResponse) else web.json_response(reply)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        # A connection is open until the gateway lets go, and then until the loop ends.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(_pour(reader, inner_writer), _pour(inner_reader, writer))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", arrive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    proxy = await asyncio.start_server(connect, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    try:
        yield hosts
    finally:
        proxy.close()
        await runner.cleanup()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def _certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The file of a new authority, and the context of a server that it vouches for under all of the HOSTS."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    extensions = folder / "extensions"
    extensions.write_text(
        f"subjectAltName={','.join('DNS:' + host for host in HOSTS)}\nbasicConstraints=CA:FALSE\n"
        "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"  # which Python 3.13 asks for
    )
    for command in (
        (
            "req",
            "-x509",
            *new_key,
            "-days",
            "2",
            "-subj",
            "/CN=authority",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ),
        ("req", *new_key, "-subj", "/CN=server", "-keyout", "key.pem", "-out", "request.pem"),
        (
            *("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", extensions.name, "-out", "cert.pem"),
        ),
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "ca.pem", context
