"""A local ClickHouse: its HTTP interface over chDB, in a supervised process of its own.

`ensure_server` finds or starts the server of a data directory, `clickhouse_client` connects to it,
`serve` is the process itself. Importing this package never imports chDB, which replaces the memory
allocator of the process it is in.
"""

from __future__ import annotations

from pathlib import Path

from babyai_kit.clickhouse.clients import clickhouse_client, clickhouse_url
from babyai_kit.clickhouse.launch import ServerHandle, ensure_server, ensure_server_sync
from babyai_kit.clickhouse.migrations import migrating
from babyai_kit.clickhouse.state import DATABASE, DEFAULT_PORT, EXIT_TAKEN, HOST, USER

__all__ = [
    "DATABASE",
    "DEFAULT_PORT",
    "EXIT_TAKEN",
    "HOST",
    "USER",
    "ServerHandle",
    "clickhouse_client",
    "clickhouse_url",
    "ensure_server",
    "ensure_server_sync",
    "migrating",
    "serve",
]


def serve(path: str | Path = "data", port: int = DEFAULT_PORT, *, by_hand: bool) -> int:
    """Be the server of directory `path` until stopped; see `server.serve`. Returns an exit status."""
    from babyai_kit.clickhouse import server

    return server.serve(path, port, by_hand=by_hand)
