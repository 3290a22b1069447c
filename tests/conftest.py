"""Shared by all tests: no ambient settings, one local ClickHouse for the session, no test that times out."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from babyai_kit.configuration.project import PROJECT_SETTING
from babyai_kit.local.clickhouse import ensure_server_sync
from tests.support.project import SETTINGS

# The gateway reads it once, at its import, which a test may do before the kit; its log is not the kit's.
os.environ.setdefault("RUST_LOG", "off")

# A busy machine must not fail a test: hypothesis would, after 200 ms an example.
hypothesis.settings.register_profile(
    "kit", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("kit")


def pytest_collection_finish() -> None:
    """Leaves what was collected out of garbage collection: to walk thousands of tests and PyTorch's modules
    again and again took a third of a worker's time."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_ambient_settings() -> Iterator[None]:
    """A developer's keys and servers must not take part in the tests."""
    names = [name for name in (*SETTINGS, PROJECT_SETTING) if name in os.environ]
    kept = {name: os.environ.pop(name) for name in names}
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
