"""Waiting, between calls, for a store or a gateway that is away: bounded, and said.

The calls of a run wait by themselves (`retries`); this is for what comes after them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from babyai_kit.errors import StoreError
from babyai_kit.gateway.session import Session

POLL_S = 0.4
"""Between two looks at a service."""

NOTICE_S = 3.0
"""After so long, the user is told what is waited for."""


async def until_store_answers(session: Session) -> None:
    """Return when ClickHouse answers; a local one that died is started again.

    Raises StoreError if it stays away for the session's patience.
    """

    async def answers() -> bool:
        if await session.store_answers():
            return True
        await session.revive_store()
        return False

    if not await _until(answers, "ClickHouse, to compare the journal with it", session.patience_s):
        raise StoreError(
            f"ClickHouse does not answer; when it is back, run: {session.reconcile_line}",
            kind="store",
        )


async def until_gateway_answers(session: Session) -> bool:
    """Return True when the gateway answers, False if it stays away for the session's patience."""
    return await _until(session.gateway_answers, "the gateway, to send missing feedback", session.patience_s)


async def _until(answers: Callable[[], Awaitable[bool]], what: str, patience_s: float) -> bool:
    loop = asyncio.get_running_loop()
    start, told = loop.time(), False
    while not await answers():
        waited_s = loop.time() - start
        if waited_s > patience_s:
            return False
        if waited_s > NOTICE_S and not told:
            told = True
            print(f"Waiting up to {patience_s:.0f} s for {what}.", flush=True)
        await asyncio.sleep(POLL_S)
    return True
