"""Changes of runs, told to every browser that listens (server-sent events)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Hashable, Mapping
from concurrent.futures import Executor

from aiohttp import web

from babyai_kit.viewer.library import Library

POLL_S = 0.5
SIGN_OF_LIFE_S = 15.0
"""After which a silent connection gets a comment, so that one that is gone is noticed."""


class Watch:
    """Looks for changes while somebody listens."""

    def __init__(self, library: Library, reader: Executor) -> None:
        """`reader`: in which runs are read."""
        self._library, self._reader = library, reader
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._heard = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        known: Mapping[str, Hashable] | None = None
        while True:
            if not self._listeners:
                known = None
                self._heard.clear()
                await self._heard.wait()
            begun = time.monotonic()
            news = await asyncio.get_running_loop().run_in_executor(self._reader, self._library.news)
            if known is None:
                # Whoever begins to listen may have read these before they were looked at here.
                changed = await asyncio.to_thread(self._library.recent)
            else:
                changed = [run for run in {**known, **news} if known.get(run) != news.get(run)]
            known = news
            for run in changed:
                for queue in self._listeners:
                    queue.put_nowait(run)
            spent = time.monotonic() - begun + max(map(self._library.table_s, changed), default=0.0)
            await asyncio.sleep(max(POLL_S, 5 * spent))  # a large run is not read all the time

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """The events of one listener, until either side ends."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.headers.update(request.app[HEADERS])
        await response.prepare(request)
        await response.write(b": hello\n\n")
        self._listeners.add(queue)
        self._heard.set()
        try:
            while True:
                try:
                    run = await asyncio.wait_for(queue.get(), SIGN_OF_LIFE_S)
                except asyncio.TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if run is None:
                    return response
                await response.write(f"data: {json.dumps({'run': run})}\n\n".encode())
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """End all streams."""
        for queue in self._listeners:
            queue.put_nowait(None)


HEADERS: web.AppKey[Mapping[str, str]] = web.AppKey("headers")
"""Of every response."""
