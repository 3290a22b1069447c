"""A gateway over HTTP, and the settings of a user who has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from babyai_kit import connect
from babyai_kit.local.clickhouse import ensure_server
from babyai_kit.local.player import OfflinePlayer
from tests.support.gateway_server import gateway_server
from tests.support.project import CONFIG


@pytest.fixture
def remote(data: Path, monkeypatch: pytest.MonkeyPatch):
    """A running gateway server and the settings of a user who has one."""

    @asynccontextmanager
    async def opened(
        *, config: Path = CONFIG, version: str = "2026.6.0", model: str = "offline-player", **settings: str
    ) -> AsyncIterator[SimpleNamespace]:
        async with AsyncExitStack() as stack:
            store = await ensure_server(data)
            stack.callback(store.close)
            player = await stack.enter_async_context(OfflinePlayer(aliases=[model]))
            url, server = await stack.enter_async_context(
                gateway_server(config, player.base_url, model, store.url, version)
            )
            monkeypatch.setenv("TENSORZERO_GATEWAY_URL", url)
            monkeypatch.setenv("TENSORZERO_CLICKHOUSE_URL", store.url)
            for name, value in settings.items():
                monkeypatch.setenv(name, value)

            def connected(env_file: Path | None = None, quiet: bool = False):
                return connect(env_file=env_file, config=CONFIG, data=data, quiet=quiet)

            yield SimpleNamespace(server=server, player=player, store=store, connect=connected)

    return opened
