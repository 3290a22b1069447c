"""Whether ClickHouse answers while a run goes on: told when it goes and when it is back.

Knows the ping that every ClickHouse answers, and how the session revives its own local server; nothing of
rows. The gateway drops what it cannot write without a word, so that someone has to look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from babyai_kit.errors import StoreError
from babyai_kit.gateway.session import Session

EVERY_S = 2.0


@asynccontextmanager
async def store_watch(session: Session, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Watch the store of `session` for the length of the block; `say` gets a line for each change."""
    task = asyncio.create_task(_watch(session, say))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(session: Session, say: Callable[[str], None]) -> None:
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
                    "ClickHouse does not answer. The run goes on; what the gateway could not store is named "
                    "at its end and its feedback sent again."
                )
            await _revive(session, say)
        await asyncio.sleep(EVERY_S)


async def _revive(session: Session, say: Callable[[str], None]) -> None:
    try:
        await session.revive_store()
    except StoreError as error:
        say(f"The local ClickHouse could not be started again: {error}")
