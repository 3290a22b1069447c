from pathlib import Path

import pytest

from babyai_kit.configuration.models import (
    DEFAULT_MODEL,
    LEARNER_MODEL,
    OFFLINE_MODEL,
    is_free,
    is_offline_player,
)
from babyai_kit.configuration.settings import load_settings
from babyai_kit.errors import ConfigError


def test_nothing_configured_means_the_offline_player():
    settings = load_settings(None, {})
    assert settings.offline
    assert settings.model == OFFLINE_MODEL


def test_a_tuned_offline_player_is_one_still():
    models = (OFFLINE_MODEL, f"ft:{OFFLINE_MODEL}:offline:act:1", DEFAULT_MODEL, f"ft:{DEFAULT_MODEL}:o::1")
    assert [is_offline_player(model) for model in models] == [True, True, False, False]


def test_offline_the_small_model_plays_if_it_is_named_and_no_other_name_counts():
    named = load_settings(None, {"AGENT_MODEL": LEARNER_MODEL})
    assert named.offline
    assert named.model == LEARNER_MODEL
    assert is_free(LEARNER_MODEL)
    assert is_free(f"ft:{LEARNER_MODEL}:offline:act:1")
    assert load_settings(None, {"AGENT_MODEL": "llama3.1"}).model == OFFLINE_MODEL


def test_a_key_alone_means_openai():
    settings = load_settings(None, {"OPENAI_API_KEY": "sk-1"})
    assert not settings.offline
    assert settings.openai_base_url == "https://api.openai.com/v1/"
    assert settings.model == DEFAULT_MODEL


def test_a_server_needs_no_key_and_its_url_ends_in_a_slash():
    settings = load_settings(None, {"OPENAI_BASE_URL": "http://localhost:11434/v1", "AGENT_MODEL": "llama3"})
    assert settings.openai_base_url == "http://localhost:11434/v1/"
    assert settings.model == "llama3"


def test_exported_variables_beat_the_file_and_empty_ones_do_not(tmp_path: Path):
    file = tmp_path / ".env"
    file.write_text("OPENAI_API_KEY=from-file\nAGENT_MODEL=from-file\nOPENAI_BASE_URL=\n")
    settings = load_settings(file, {"AGENT_MODEL": "exported", "OPENAI_API_KEY": ""})
    assert settings.model == "exported"
    assert settings.openai_api_key == "from-file"


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "TENSORZERO_GATEWAY_URL", "TENSORZERO_CLICKHOUSE_URL"])
def test_what_is_no_url_is_refused_by_name(name: str):
    with pytest.raises(ConfigError, match=name):
        load_settings(None, {name: "localhost"})


def test_no_secret_in_the_repr_and_redaction_removes_them():
    settings = load_settings(
        None,
        {
            "OPENAI_API_KEY": "sk-canary",
            "TENSORZERO_CLICKHOUSE_URL": "http://u:pw-canary@localhost:8123/db",
        },
    )
    assert "canary" not in repr(settings)
    assert settings.redact("key sk-canary, password pw-canary") == "key ***, password ***"


def test_the_example_file_declares_every_setting_without_spaces():
    from tests.support.project import ROOT, SETTINGS

    lines = [
        line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert [line.split("=")[0] for line in lines] == list(SETTINGS)
    assert not any(" " in line for line in lines)
