"""The configured ClickHouse as a client: the settings' URL, or the local server over chDB.

Knows which store the settings name; how the local server is found and started is `clickhouse/`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from babyai_kit import clickhouse
from babyai_kit.settings import load_settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def clickhouse_client(*, env_file: str | Path | None = ".env", data: str | Path = "data") -> Client:
    """A clickhouse_connect client of the configured ClickHouse, starting the local server if needed.

    Blocks; close it when done: the local server ends with its last user. Raises StoreError if it cannot
    be reached.
    """
    url = load_settings(env_file).clickhouse_url
    return clickhouse.clickhouse_client(url or None, path=data)
