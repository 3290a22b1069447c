from pathlib import Path

import pytest

from babyai_kit.configuration.models import (
    DEFAULT_MODEL,
    LANGUAGE_MODEL,
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
    named = load_settings(None, {"AGENT_MODEL": LANGUAGE_MODEL})
    assert named.offline
    assert named.model == LANGUAGE_MODEL
    assert is_free(LANGUAGE_MODEL)
    assert is_free(f"ft:{LANGUAGE_MODEL}:offline:act:1")
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


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        (
            {"OPENAI_API_BASE": "http://h/v1"},
            "OPENAI_API_BASE is set and has no effect here; set OPENAI_BASE_URL",
        ),
        ({"OPENAI_MODEL": "m"}, "OPENAI_MODEL is set and has no effect here; set AGENT_MODEL"),
        (
            {"AGENT_MODEL": "llama3"},
            "AGENT_MODEL=llama3 has no effect without a model server; set OPENAI_BASE_URL",
        ),
    ],
)
def test_what_has_no_effect_is_told_with_what_to_set(changed: dict[str, str], note: str):
    (line,) = load_settings(None, changed).notes
    assert line.startswith(note)


def test_what_has_an_effect_is_not_told():
    server = {"OPENAI_BASE_URL": "http://h/v1", "OPENAI_API_BASE": "http://other/v1", "AGENT_MODEL": "m"}
    assert load_settings(None, server).notes == ()
    assert load_settings(None, {"AGENT_MODEL": LANGUAGE_MODEL}).notes == ()
    assert load_settings(None, {"AGENT_MODEL": OFFLINE_MODEL}).notes == ()


@pytest.mark.parametrize("timeout", ["0", "00", "-1", "1.5", "1e4", "soon", "86400001", "9" * 30, "1" * 5000])
def test_a_timeout_that_is_no_number_of_milliseconds_up_to_a_day_is_refused(timeout: str):
    with pytest.raises(ConfigError, match=r"AGENT_TIMEOUT_MS is not valid; give whole milliseconds") as error:
        load_settings(None, {"AGENT_TIMEOUT_MS": timeout})
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("timeout", ["1", "060000", "86400000"])
def test_a_timeout_in_milliseconds_is_taken(timeout: str):
    assert load_settings(None, {"AGENT_TIMEOUT_MS": timeout}).timeout_ms == int(timeout)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "many", "9" * 5000])
def test_a_rate_that_is_no_positive_number_is_refused(rate: str):
    with pytest.raises(ConfigError, match="AGENT_REQUESTS_PER_MINUTE is not valid; give a positive number"):
        load_settings(None, {"AGENT_REQUESTS_PER_MINUTE": rate})


def test_a_rate_is_taken_and_none_is_the_default():
    assert load_settings(None, {"AGENT_REQUESTS_PER_MINUTE": " 7.5 "}).requests_per_minute == 7.5
    assert load_settings(None, {}).requests_per_minute is None


@pytest.mark.parametrize("key", ["sk-canary“", "sk-canary\u200b", "sk-canary\nx", "sk-canary\udcff"])
@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "TENSORZERO_API_KEY"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(name: str, key: str):
    with pytest.raises(ConfigError, match=f"{name} has a character") as error:
        load_settings(None, {name: key})
    assert "canary" not in str(error.value)


def test_no_secret_in_the_repr_and_redaction_removes_them():
    settings = load_settings(
        None,
        {
            "OPENAI_API_KEY": "sk-canary",
            "TENSORZERO_API_KEY": "sk-t0-canary",
            "TENSORZERO_CLICKHOUSE_URL": "http://u:pw-canary@localhost:8123/db",
        },
    )
    assert settings.gateway_api_key == "sk-t0-canary"
    assert "canary" not in repr(settings)
    assert (
        settings.redact("keys sk-canary, sk-t0-canary, password pw-canary") == "keys ***, ***, password ***"
    )


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "many", "65", "9" * 5000])
def test_threads_of_the_local_model_are_a_small_number(text: str):
    assert load_settings(None, {"LOCAL_MODEL_THREADS": "2"}).local_model_threads == 2
    assert load_settings(None, {"LOCAL_MODEL_THREADS": "Auto"}).local_model_threads is None
    with pytest.raises(ConfigError, match="LOCAL_MODEL_THREADS is not valid; give a number from 1 to 64"):
        load_settings(None, {"LOCAL_MODEL_THREADS": text})


def test_a_fine_tuned_model_of_this_machine_can_be_the_one_that_plays():
    named = load_settings(None, {"AGENT_MODEL": f"ft:{LANGUAGE_MODEL}:offline:act:1"})
    assert (named.offline, named.model, named.notes) == (True, f"ft:{LANGUAGE_MODEL}:offline:act:1", ())


def test_the_example_file_declares_every_setting_without_spaces():
    from tests.support.project import ROOT, SETTINGS

    lines = [
        line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert [line.split("=")[0] for line in lines] == list(SETTINGS)
    assert not any(" " in line for line in lines)
