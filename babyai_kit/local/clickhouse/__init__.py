"""A local ClickHouse: its HTTP interface over chDB, in a supervised process of its own.

`ensure_server` finds or starts the server of a data directory and `serve` is the process itself. Importing
this package never imports chDB, which replaces the memory allocator of the process it is in.
"""

from __future__ import annotations

from babyai_kit.local.clickhouse.data_directory import EXIT_TAKEN
from babyai_kit.local.clickhouse.launcher import ServerHandle, ensure_server, ensure_server_sync
from babyai_kit.local.clickhouse.server import serve

__all__ = ["EXIT_TAKEN", "ServerHandle", "ensure_server", "ensure_server_sync", "serve"]
