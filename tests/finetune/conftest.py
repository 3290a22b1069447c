"""A collected run that the tests of this folder share, and sessions on a configuration of their own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from babyai_kit import TASKS, connect, run_experiment
from babyai_kit.gateway.session import Session
from tests.support.project import CONFIG

TRAIN_SEEDS = range(0, 12)
Open = Callable[[], AbstractAsyncContextManager[Session]]


@pytest.fixture(scope="session")
def collected(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the run `collect`: baseline on 12 train seeds of every task."""
    results = tmp_path_factory.mktemp("collected")

    async def collect() -> None:
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            await run_experiment(
                session, "collect", ["baseline"], TASKS, TRAIN_SEEDS, results=results, progress=False
            )

    asyncio.run(collect())
    return results


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that a test may register variants in."""
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


@pytest.fixture
def open_offline(data: Path, config: Path) -> Open:
    """Opens sessions as a user does who configured nothing."""
    return lambda: connect(env_file=None, config=config, data=data, quiet=True)
