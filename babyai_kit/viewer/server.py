"""The viewer as a server on this machine: its address holds a secret, and nobody else is answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from babyai_kit.configuration.addresses import HOST
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError
from babyai_kit.viewer.guard import Guard
from babyai_kit.viewer.library import Library
from babyai_kit.viewer.live import HEADERS, Watch
from babyai_kit.viewer.play import Play
from babyai_kit.viewer.routes import Routes

THREADS = 6
"""For what waits: a search, figures, episodes of a run whose steps are still being located."""
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
    if not 0 <= port < 65536:
        raise InputError(f"port {port} is not one; use 1 to 65535, or 0 for any")
    token = secrets.token_urlsafe(16)
    library = Library(results)
    # One thread makes all tables: memory that it frees is used again for the next one.
    reader = ThreadPoolExecutor(1, "runs of the viewer")
    guard, watch = Guard(token, framed=framed), Watch(library, reader)
    app = web.Application(middlewares=[guard.check])
    app[HEADERS] = guard.headers
    Routes(library, watch, reader).add_to(app.router, f"/{token}")
    play = Play(results)
    play.add_to(app.router, f"/{token}")
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    watching = asyncio.create_task(watch.run())
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used ({os.strerror(error.errno or 0)}); choose another with --port"
            ) from None
        port = runner.addresses[0][1]
        yield f"http://{HOST}:{port}/{token}/"
    finally:
        watching.cancel()
        watch.close()
        await asyncio.to_thread(library.close)
        await runner.cleanup()
        reader.shutdown(wait=False, cancel_futures=True)
        play.close()


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
