"""Shared by all tests: no ambient settings, one local ClickHouse for the session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from babyai_kit.clickhouse import ensure_server_sync

ROOT = Path(__file__).resolve().parent.parent
_COPY = tempfile.TemporaryDirectory(prefix="babyai-tests-")
# Without the variants that a user of this checkout has registered.
CONFIG = Path(
    shutil.copytree(ROOT / "config", Path(_COPY.name) / "config", ignore=shutil.ignore_patterns("finetuned"))
)
SETTINGS = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "AGENT_MODEL",
    "AGENT_TIMEOUT_MS",
    "TENSORZERO_GATEWAY_URL",
    "TENSORZERO_CLICKHOUSE_URL",
    "CLICKHOUSE_PASSWORD",
)


@pytest.fixture(scope="session", autouse=True)
def _no_ambient_settings() -> Iterator[None]:
    """A developer's keys and servers must not take part in the tests."""
    kept = {name: os.environ.pop(name) for name in SETTINGS if name in os.environ}
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Directory of the local ClickHouse that the end-to-end tests share; it runs from the first to the last.

    Each start takes seconds, the first one most. Whoever watches it end uses `data_alone`.
    """
    folder = tmp_path_factory.mktemp("data")
    with ensure_server_sync(folder):
        yield folder


@pytest.fixture(scope="session")
def data_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a local ClickHouse that runs as long as somebody uses it."""
    return tmp_path_factory.mktemp("data")
