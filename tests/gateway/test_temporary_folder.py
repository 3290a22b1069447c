"""The embedded gateway starts wherever the folder for temporary files is; the start says what was ignored."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from babyai_kit import connect
from babyai_kit.configuration.gateway_toml import write_snapshot
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway
from babyai_kit.local.clickhouse import ensure_server
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e


async def test_a_folder_with_the_characters_of_a_pattern_is_read(tmp_path: Path, data: Path):
    settings = load_settings(None, {})
    config = load_config(CONFIG, settings)
    folder = tmp_path / "a [b] {c,d} e*f?g \\h ]i[ }j{ !k ü"
    folder.mkdir()
    glob = write_snapshot(config, settings, folder, base_url="http://127.0.0.1:9/v1/")
    server = await ensure_server(data)
    gateway = await TensorZeroGateway.embedded(glob, server.url)
    assert await gateway.close(timeout_s=30)
    server.close()


@pytest.mark.parametrize("name", ["[tmp]", "tmp\udcff"])
async def test_a_session_opens_with_any_tmpdir(
    tmp_path: Path, data: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    async with connect(env_file=None, config=CONFIG, data=data) as session:
        assert session.embedded
    assert (
        "Note:       OPENAI_API_BASE is set and has no effect here; set OPENAI_BASE_URL instead"
        in capsys.readouterr().out
    )
