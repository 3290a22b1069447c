"""A gateway's first start on an empty store: either its tables are all there, or they are made anew.

Knows the gateway's table names; nothing of the gateway. A gateway makes its tables by some fifty
migrations, 5 s on a fresh store. Killed among them it can go on, but takes every migration for one of a
store in use and waits 15 s at several (20 to 58 s measured). A store without a row is better begun again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from babyai_kit.configuration.addresses import CLICKHOUSE_DATABASE
from babyai_kit.errors import StoreError
from babyai_kit.local.clickhouse.launcher import ServerHandle
from babyai_kit.local.clickhouse.state import Home, Lock, wait_exclusive
from babyai_kit.store.client import open_client

TIMEOUT_S = 180.0
"""How long to wait for another process that is making the tables."""

_DATA = (
    "ChatInference", "JsonInference", "ModelInference", "BatchRequest", "BatchModelInference",
    "InferenceById", "BooleanMetricFeedback", "FloatMetricFeedback", "CommentFeedback",
    "DemonstrationFeedback", "ChatInferenceDatapoint", "JsonInferenceDatapoint", "DynamicEvaluationRun",
    "DynamicEvaluationRunEpisode",
)  # fmt: skip
"""Tables whose rows somebody made; others hold what the migrations themselves put there."""


@contextlib.asynccontextmanager
async def migrating(server: ServerHandle, path: str | Path = "data") -> AsyncIterator[None]:
    """Around the building of a gateway on `server`, the local server of directory `path`.

    Before the first gateway of a store has been built, only one process at a time gets in, and what an
    interrupted one left is dropped if it holds no data. Afterwards this does nothing. Raises StoreError.
    """
    home = Home.at(path)
    if home.migrated_file.exists():
        yield
        return
    lock = Lock(home.migrate_lock)
    try:
        if not await asyncio.to_thread(wait_exclusive, lock, TIMEOUT_S):
            raise StoreError(
                f"another process has been making the tables in {home.path} for {TIMEOUT_S:.0f} s; end it",
                kind="store",
            )
        if not home.migrated_file.exists():
            await asyncio.to_thread(_discard_unfinished, server.url)
        yield
        home.migrated_file.touch()
    finally:
        lock.release()


def _discard_unfinished(url: str) -> bool:
    """Drop the gateway's tables if they hold no data; True if there was something to drop."""
    client = open_client(url)
    try:
        sql = f"SELECT name, total_rows FROM system.tables WHERE database = '{CLICKHOUSE_DATABASE}'"
        rows = {row[0]: row[1] for row in client.query(sql).result_rows}
        ours = all(name[:1].isupper() or name.startswith(".") for name in rows)
        if not rows or not ours or any(rows.get(name) for name in _DATA):
            return False
        client.command(f"DROP DATABASE {CLICKHOUSE_DATABASE} SYNC", use_database=False)
        client.command(f"CREATE DATABASE {CLICKHOUSE_DATABASE}", use_database=False)
        return True
    finally:
        client.close()
