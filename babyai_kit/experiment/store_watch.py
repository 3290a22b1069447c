"""Watches ClickHouse while a run goes on: reports when it goes away and when it is back.

The gateway drops what it cannot write without a word, so something has to look. A local server that died is
started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from babyai_kit.errors import StoreError
from babyai_kit.gateway.session import Session


@asynccontextmanager
async def store_watch(
    session: Session, say: Callable[[str], None], *, every_s: float = 2.0
) -> AsyncIterator[None]:
    """Watch the store of `session` for the length of the block; `say` gets a line for each change."""
    task = asyncio.create_task(_watch(session, say, every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(session: Session, say: Callable[[str], None], every_s: float) -> None:
    loop = asyncio.get_running_loop()
    away_since: float | None = None
    while True:
        if await session.store_answers():
            if away_since is not None:
                say(f"ClickHouse is back after {loop.time() - away_since:.0f} s.")
            away_since = None
        else:
            if away_since is None:
                away_since = loop.time()
                say(
                    "ClickHouse does not answer. The run goes on; what the gateway could not store is listed "
                    "at its end, and its feedback is sent again."
                )
            await _revive(session, say)
        await asyncio.sleep(every_s)


async def _revive(session: Session, say: Callable[[str], None]) -> None:
    try:
        await session.revive_store()
    except StoreError as error:
        say(f"The local ClickHouse could not be started again: {error}")
