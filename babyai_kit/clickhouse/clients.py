"""clickhouse_connect clients of the local server or of any ClickHouse.

Knows clickhouse_connect and how a client holds its server; nothing of processes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from babyai_kit.clickhouse.launch import ServerHandle, ensure_server_sync
from babyai_kit.clickhouse.state import DEFAULT_PORT
from babyai_kit.errors import StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def clickhouse_url() -> str | None:
    """The URL in `TENSORZERO_CLICKHOUSE_URL`; None if it is unset, which means the local server.

    The URL holds a password: not for logs.
    """
    return os.environ.get("TENSORZERO_CLICKHOUSE_URL", "").strip() or None


def clickhouse_client(
    url: str | None = None, *, path: str | Path = "data", port: int = DEFAULT_PORT
) -> Client:
    """A clickhouse_connect client of `url`, else of the configured ClickHouse, else of the local server.

    The local server of directory `path` is started if needed and held until `client.close()` or the end
    of the process. Clients have no session: settings, `USE` and temporary tables last for one call, as
    the local server has no HTTP sessions, and one client may be used by several threads. Blocks. Raises
    StoreError if ClickHouse cannot be reached or refuses.
    """
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error

    url = url or clickhouse_url()
    handle: ServerHandle | None = None
    if url is None:
        handle = ensure_server_sync(path, port)
        url = handle.url
    try:
        client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)
    except (Error, OSError, ValueError) as error:
        if handle is not None:
            handle.close()
        raise StoreError(
            f"ClickHouse cannot be used: {_reason(error, url)}; see that it runs and that its URL is right",
            kind="store",
        ) from None
    if handle is not None:
        _close_with(client, handle)
    return client


def _close_with(client: Client, handle: ServerHandle) -> None:
    """Make `client.close()`, and the client's end, release `handle`."""
    close_client = client.close

    def close() -> None:
        close_client()
        handle.close()

    client.close = close  # type: ignore[method-assign]
    client._babyai_server = handle  # type: ignore[attr-defined]


def _reason(error: Exception, url: str) -> str:
    text = " ".join(str(error).split())
    password = urlsplit(url).password
    return (text.replace(password, "***") if password else text)[:300]
