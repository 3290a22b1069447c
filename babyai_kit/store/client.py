"""clickhouse_connect clients of the configured ClickHouse, or of the local server over chDB."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from babyai_kit.configuration.project import PROJECT_DATA, PROJECT_ENV, StrPath
from babyai_kit.configuration.proxies import is_loopback
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.urls import url_secrets
from babyai_kit.errors import StoreError
from babyai_kit.hostile_text import one_line
from babyai_kit.local.clickhouse import ServerHandle, ensure_server_sync

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def clickhouse_client(*, env_file: StrPath | None = PROJECT_ENV, data: StrPath = PROJECT_DATA) -> Client:
    """A clickhouse_connect client of the configured ClickHouse, starting the local server if needed.

    Blocks; close it when done: the local server ends with its last user. Raises StoreError if ClickHouse
    cannot be reached.
    """
    return open_client(load_settings(env_file).clickhouse_url, data=data)


def open_client(url: str, *, data: StrPath = PROJECT_DATA) -> Client:
    """A clickhouse_connect client of `url` or, if that is empty, of the local server of directory `data`.

    The local server is started if needed and held until `client.close()` or the end of the process. Clients
    have no session: settings, `USE` and temporary tables last for one call, as the local server has no HTTP
    sessions, and several threads may use one client. Blocks. Raises StoreError if ClickHouse cannot be
    reached or refuses.
    """
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error
    from clickhouse_connect.driver.httputil import default_pool_manager

    server = None if url else ensure_server_sync(data)
    dsn = server.url if server else url
    # Without a pool the client takes the environment's proxy, which cannot reach this machine.
    pool = default_pool_manager() if is_loopback(urlsplit(dsn).hostname or "") else None
    try:
        client = clickhouse_connect.get_client(dsn=dsn, autogenerate_session_id=False, pool_mgr=pool)
    except (Error, OSError, ValueError) as error:
        if server:
            server.close()
        raise StoreError(
            f"ClickHouse cannot be used: {_reason(error, dsn)}; check that it is running and that its URL is "
            "correct",
            kind="store",
        ) from None
    if server:
        _close_with(client, server)
    return client


def _close_with(client: Client, server: ServerHandle) -> None:
    """Make `client.close()`, and the client's end, release `server`."""
    close_client = client.close

    def close() -> None:
        close_client()
        server.close()

    client.close = close  # type: ignore[method-assign]
    client._babyai_server = server  # type: ignore[attr-defined]


def _reason(error: Exception, url: str) -> str:
    text = str(error)
    for secret in sorted(url_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "***")
    return one_line(text, 300)
