"""The viewer as a server on this machine: its address holds a secret, and nobody else is answered."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from babyai_kit.configuration.addresses import HOST
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError
from babyai_kit.viewer.guard import Guard
from babyai_kit.viewer.library import Library
from babyai_kit.viewer.routes import Routes

SHUTDOWN_S = 1.0
"""For requests that are being answered when the viewer ends."""


@contextlib.asynccontextmanager
async def running_server(
    results: StrPath = PROJECT_RESULTS, *, port: int = 0, framed: bool = False
) -> AsyncIterator[str]:
    """The address of a viewer of the runs under `results`, which serves until the end of the block.

    `port`: 0: any. `framed`: whether notebooks of this machine may show it. Raises InputError for a port that
    is taken.
    """
    token = secrets.token_urlsafe(16)
    library = Library(results)
    app = web.Application(middlewares=[Guard(token, framed=framed).check])
    Routes(library).add_to(app.router, f"/{token}")
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used ({error.strerror or error}); choose another with --port"
            ) from None
        port = runner.addresses[0][1]
        yield f"http://{HOST}:{port}/{token}/"
    finally:
        library.close()
        await runner.cleanup()


async def serve(
    results: StrPath = PROJECT_RESULTS, *, port: int = 0, on_ready: Callable[[str], None]
) -> None:
    """Run a viewer until SIGTERM, SIGINT or cancellation; `on_ready` gets its address."""
    async with running_server(results, port=port) as address:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, other threads
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        on_ready(address)
        await stop.wait()
