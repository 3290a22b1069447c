"""A session on servers of the test's own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from babyai_kit import connect
from babyai_kit.gateway.session import Session
from tests.support.model_server import ModelServer
from tests.support.project import CONFIG


@pytest.fixture
def opened(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A session on servers of the test's own: the settings' is the first, the others are in models.toml."""

    @asynccontextmanager
    async def opened(
        first: ModelServer,
        toml: str = "",
        *,
        env_file: Path | None = None,
        quiet: bool = True,
        **settings: str,
    ) -> AsyncIterator[Session]:
        config = tmp_path / "config"
        if not config.exists():
            shutil.copytree(CONFIG, config)
        (config / "models.toml").write_text(toml)
        monkeypatch.setenv("OPENAI_BASE_URL", first.base_url)
        monkeypatch.setenv("AGENT_MODEL", "first-model")
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        async with connect(env_file=env_file, config=config, data=data, quiet=quiet) as session:
            yield session

    return opened


@pytest.fixture
def opened_at(data: Path, monkeypatch: pytest.MonkeyPatch):
    """A session of the kit's own configuration on the one server at a URL."""

    def opened_at(base_url: str):
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        monkeypatch.setenv("AGENT_MODEL", "a-model")
        return connect(env_file=None, config=CONFIG, data=data, quiet=True)

    return opened_at
