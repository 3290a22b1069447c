"""`config/models.toml` as users write it, with what it may not have."""

from __future__ import annotations

import pytest

from babyai_kit.configuration.served_models import check_apart, own_models, resolve
from babyai_kit.configuration.settings import load_settings
from babyai_kit.errors import ConfigError, InputError

ENTRY = """
[models."{name}"]
routing = ["own"]
[models."{name}".providers.own]
type = "{type}"
model_name = "theirs"
api_base = "http://127.0.0.1:1/v1"
api_key_location = "{key}"
{more}
"""


def entry(name: str = "a", *, type: str = "vllm", key: str = "none", more: str = "") -> str:
    return ENTRY.format(name=name, type=type, key=key, more=more)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (entry(key="sk-secret"), "api_key_location must say where the key is.* write .*env::NAME"),
        (entry(more='api_key = "secret"'), "api_key must say where the key is"),
        (
            entry().replace('"none"', '{ default = "env::A", fallback = "sk-secret" }'),
            "api_key_location must say",
        ),
        (entry("agent"), "has another model named agent; choose another name"),
        (entry("offline-player"), "has another model named offline-player"),
        (entry().replace('model_name = "theirs"', ""), "own: model_name must be set"),
        (entry().replace('api_base = "http://127.0.0.1:1/v1"', ""), "own: api_base must be set"),
    ],
)
def test_what_an_entry_may_not_be_is_said_without_its_key(tmp_path, toml: str, told: str):
    (tmp_path / "models.toml").write_text(toml)
    with pytest.raises(ConfigError, match=told) as refused:
        own_models(tmp_path, load_settings(None, {}))
    assert "secret" not in str(refused.value)


def test_a_key_of_any_name_is_found_in_the_file_of_settings(tmp_path):
    (tmp_path / "models.toml").write_text(entry(key="env::OUR_TEAM"))
    (tmp_path / ".env").write_text("OUR_TEAM=k\n")
    assert own_models(tmp_path, load_settings(tmp_path / ".env", {}))["a"].missing == ()
    assert own_models(tmp_path, load_settings(None, {}))["a"].missing == ("OUR_TEAM",)


def test_options_that_the_adapter_would_lose_are_left_to_the_gateway(tmp_path):
    (tmp_path / "models.toml").write_text(
        entry("plain", more='extra_body = [{ pointer = "/top_k", value = 7 }]')
        + entry("special", more="extra_headers = []")
    )
    models = own_models(tmp_path, load_settings(None, {}))
    assert {name: model.base_url for name, model in models.items()} == {
        "plain": "http://127.0.0.1:1/v1/",
        "special": "",
    }


@pytest.mark.parametrize("server", [{}, {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}])
def test_the_one_model_of_the_settings_may_be_named_by_its_provider(server: dict[str, str]):
    settings = load_settings(None, {"AGENT_MODEL": "anthropic::claude", **server})
    assert settings.models == ("anthropic::claude",)
    assert settings.notes == ()
    assert resolve("anthropic::claude", {}, settings).provider == "anthropic"


def test_a_name_with_colons_of_no_provider_is_what_the_server_calls_its_model():
    server = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "AGENT_MODEL": "tensorzero::model_name::x"}
    settings = load_settings(None, server)
    assert resolve(settings.model, {}, settings).base_url == "http://127.0.0.1:1/v1/"


def test_two_models_that_a_gateway_takes_for_one_are_refused():
    settings = load_settings(None, {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    slash, dash, other = (resolve(name, {}, settings) for name in ("org/a", "org-a", "org:a"))
    check_apart([slash, other, slash])
    with pytest.raises(InputError, match="org/a and org-a, which are both org-a there; give one another"):
        check_apart([slash, other, dash])
