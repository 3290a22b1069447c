"""The gateway's tables in a new local store: complete after its first start, or begun again.

A gateway makes its tables by some fifty migrations, 5 s on a fresh store. Killed among them it can go on, but
takes every migration for one of a store in use and waits 15 s at several (20 to 58 s measured). It is faster
to begin again with a store that holds no row yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from babyai_kit.configuration.addresses import CLICKHOUSE_DATABASE
from babyai_kit.configuration.project import PROJECT_DATA, StrPath
from babyai_kit.errors import StoreError
from babyai_kit.local.clickhouse.data_directory import DataDirectory
from babyai_kit.local.clickhouse.launcher import ServerHandle
from babyai_kit.local.clickhouse.locks import Lock
from babyai_kit.store.client import open_client

_DATA_TABLES = (
    "ChatInference", "JsonInference", "ModelInference", "BatchRequest", "BatchModelInference",
    "InferenceById", "BooleanMetricFeedback", "FloatMetricFeedback", "CommentFeedback",
    "DemonstrationFeedback", "ChatInferenceDatapoint", "JsonInferenceDatapoint", "DynamicEvaluationRun",
    "DynamicEvaluationRunEpisode",
)  # fmt: skip
"""Tables with a user's rows; the others hold what the migrations themselves put there."""


@contextlib.asynccontextmanager
async def migrating(
    server: ServerHandle, path: StrPath = PROJECT_DATA, *, timeout_s: float = 180.0
) -> AsyncIterator[None]:
    """Around the building of a gateway on `server`, the local server of directory `path`.

    Before the first gateway of a store has been built, only one process at a time gets in (others wait up to
    `timeout_s`), and what an interrupted one left is dropped if it holds no data. Afterwards this does
    nothing. Raises StoreError.
    """
    directory = DataDirectory(path)
    if directory.migrated_file.exists():
        yield
        return
    lock = Lock(directory.migrate_lock)
    try:
        if not await asyncio.to_thread(lock.wait_exclusive, timeout_s):
            raise StoreError(
                f"another process has been making the gateway's tables in {directory.path} for "
                f"{timeout_s:.0f} s; end it and try again",
                kind="store",
            )
        if not directory.migrated_file.exists():
            await asyncio.to_thread(_drop_unfinished, server.url)
        yield
        directory.migrated_file.touch()
    finally:
        lock.release()


def _drop_unfinished(url: str) -> None:
    """Drop the gateway's tables if they hold no data."""
    client = open_client(url)
    try:
        sql = f"SELECT name, total_rows FROM system.tables WHERE database = '{CLICKHOUSE_DATABASE}'"
        rows = {row[0]: row[1] for row in client.query(sql).result_rows}
        # The gateway's tables begin with a capital letter, the engine's own for views with a dot.
        only_gateway = all(name[:1].isupper() or name.startswith(".") for name in rows)
        if rows and only_gateway and not any(rows.get(name) for name in _DATA_TABLES):
            client.command(f"DROP DATABASE {CLICKHOUSE_DATABASE} SYNC", use_database=False)
            client.command(f"CREATE DATABASE {CLICKHOUSE_DATABASE}", use_database=False)
    finally:
        client.close()
