"""`doctor --ask` where the gateway is reached over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from babyai_kit.cli.asking import ask_models
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e


async def test_the_gateways_model_is_asked_through_it_by_its_own_name(remote, data: Path):
    said: list[str] = []
    async with remote(model="house-1") as at:
        asked = await ask_models(say=said.append, env_file=None, config=CONFIG, data=data)
        calls = len(at.server.sent("/inference"))
    text = " ".join(said)
    assert text.endswith("One more asks the gateway's model for its name.")
    row = next(line.split() for line in asked.table.splitlines() if line.startswith("house-1"))
    assert row[:2] == ["house-1", "schema"]
    assert int(row[7]) == calls - 1
    assert asked.findings == ()
