"""Leaving a gateway: what the user is told while its last rows are stored, and when they are not."""

from __future__ import annotations

import asyncio

from babyai_kit.gateway.protocol import Gateway

NOTICE_S = 1.5
"""After so long, the user is told what leaving waits for."""


async def leave(gateway: Gateway, timeout_s: float, *, compare_with: str, embedded: bool) -> None:
    """Close `gateway`, waiting up to `timeout_s` for ClickHouse to take its last rows.

    `compare_with`: the command that names the rows that ClickHouse lacks. `embedded`: the gateway is in this
    process, so that leaving early loses them.
    """
    closing = asyncio.ensure_future(gateway.close(timeout_s))
    try:
        done, _ = await asyncio.wait([closing], timeout=NOTICE_S)
        if not done:
            print(
                f"Waiting up to {timeout_s:.0f} s for ClickHouse to take the last rows; Ctrl-C leaves "
                "without them.",
                flush=True,
            )
        in_time = await closing
    except asyncio.CancelledError:
        if embedded:
            print(
                f"Left without waiting for the last rows; {compare_with} names what ClickHouse lacks.",
                flush=True,
            )
        raise
    finally:
        closing.cancel()
    if not in_time:
        print(
            f"ClickHouse accepted no rows for {timeout_s:.0f} s and was given up; check that it is "
            f"running, then run: {compare_with}"
        )
