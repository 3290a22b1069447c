"""A session on a player of the test's own, by the settings a user would make."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from babyai_kit import connect
from babyai_kit.gateway.session import STORE_TIMEOUT_S, Session
from tests.support.outage import Store, store_by_hand
from tests.support.project import CONFIG


@pytest.fixture
def open_session(data: Path, monkeypatch: pytest.MonkeyPatch):
    @asynccontextmanager
    async def opened(
        base_url: str, store_timeout_s: float = STORE_TIMEOUT_S, **settings: str
    ) -> AsyncIterator[Session]:
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        monkeypatch.setenv("AGENT_MODEL", "offline-player")
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        async with connect(
            env_file=None, config=CONFIG, data=data, quiet=True, store_timeout_s=store_timeout_s
        ) as session:
            yield session

    return opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A ClickHouse that the kit did not start."""
    with store_by_hand(tmp_path_factory.mktemp("store")) as running:
        yield running
