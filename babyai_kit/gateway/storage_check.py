"""Does a gateway over HTTP store in the ClickHouse that the kit reads?

It may store in Postgres alone or in another ClickHouse, and its `/health` tells neither. So it is asked to
write something harmless before anything is paid for, and that is looked for. All checks share one workflow
evaluation run in a project of their own, each as an episode of it, so that the UI shows a single line.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from babyai_kit.errors import ConfigError, GatewayError
from babyai_kit.gateway.protocol import EvaluatesWorkflows
from babyai_kit.gateway.session import Session
from babyai_kit.store.evaluations import holds_episode, holds_run, newest_run

PROJECT = "babyai-checks"
NAME = "where does the gateway store?"

PATIENCE_S = 5.0
"""How long a row may take to appear."""

POLL_S = 0.3


async def check_storage(session: Session) -> None:
    """Find out, once for a session, whether what its gateway over HTTP writes can be read.

    Raises ConfigError if it cannot, StoreError if ClickHouse does not answer, GatewayError if the gateway
    fails or refuses its key.
    """
    if session.embedded or session.storage_checked or not isinstance(session.gateway, EvaluatesWorkflows):
        return
    with contextlib.closing(await asyncio.to_thread(session.clickhouse)) as client:
        known = await asyncio.to_thread(newest_run, client, PROJECT)
        arrived: Callable[[], bool]
        if known is None:
            run = await session.start_evaluation({}, PROJECT, NAME, {})
            arrived = lambda: holds_run(client, run)  # noqa: E731
        else:
            try:
                episode = await session.start_evaluated_episode(known, NAME, {})
            except GatewayError as error:
                if error.kind != "refused":
                    raise
                raise _elsewhere(session) from None
            arrived = lambda: holds_episode(client, episode)  # noqa: E731
        give_up = time.monotonic() + PATIENCE_S
        while not await asyncio.to_thread(arrived):
            if time.monotonic() > give_up:
                raise _elsewhere(session)
            await asyncio.sleep(POLL_S)
    session.storage_checked = True


def _elsewhere(session: Session) -> ConfigError:
    settings = session.settings
    return ConfigError(
        f"what the gateway at {settings.redact(settings.gateway_url)} stores does not appear in "
        f"{settings.redact(settings.clickhouse_url)}, so nothing was asked; start the gateway with its "
        "TENSORZERO_CLICKHOUSE_URL set to that ClickHouse (with TENSORZERO_POSTGRES_URL alone it stores in "
        "Postgres), or set TENSORZERO_CLICKHOUSE_URL here to the one that it uses"
    )
