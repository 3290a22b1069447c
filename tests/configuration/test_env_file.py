"""`.env` as editors and shells of all systems leave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from babyai_kit.configuration.env_file import read_env_file
from babyai_kit.configuration.settings import load_settings
from babyai_kit.errors import ConfigError

TEXT = "OPENAI_API_KEY=sk-canary\r\nAGENT_MODEL=größer\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_a_mark_and_without(tmp_path: Path, encoding: str):
    file = tmp_path / ".env"
    file.write_bytes(TEXT.encode(encoding))
    settings = load_settings(file, {})
    assert (settings.openai_api_key, settings.model) == ("sk-canary", "größer")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_any_other_encoding_is_told_in_a_line_that_shows_nothing(tmp_path: Path, encoding: str):
    file = tmp_path / ".env"
    file.write_bytes(TEXT.encode(encoding))
    with pytest.raises(ConfigError, match=r"\.env is not UTF-8 text; save it again as UTF-8") as error:
        load_settings(file, {})
    assert "canary" not in str(error.value)


def test_utf_16_without_a_mark_or_any_accent_is_told_too(tmp_path: Path):
    (tmp_path / ".env").write_bytes("AGENT_MODEL=m\n".encode("utf-16-le"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_env_file(tmp_path / ".env")


def test_a_folder_in_its_place_is_told_and_no_file_is_no_setting(tmp_path: Path):
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_env_file(tmp_path / ".env")
    assert read_env_file(tmp_path / "none") == {}
