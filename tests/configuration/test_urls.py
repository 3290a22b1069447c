"""URLs of settings: which are taken, what they become, and that a refused one is never shown."""

from __future__ import annotations

from base64 import b64encode

import pytest

from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.ui_pages import comparison_page, fine_tuning_form
from babyai_kit.configuration.urls import endpoint, split_query, url_secrets, with_version
from babyai_kit.errors import ConfigError

NAMES = ["OPENAI_BASE_URL", "TENSORZERO_GATEWAY_URL", "TENSORZERO_CLICKHOUSE_URL"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "localhost:8000/canary",
        "ftp://canary@host/",
        "http://",
        "http:///canary",
        "http://:8000",
        "http:/host/canary",
        "http://[::1",
        "http://user:canary@[::1",
        "http://user:canary：x@host",
        "http://user:canary@host:port",
        "http://user:canary@host:99999",
        "http://user:can/canary@host:8123/db",
        "http://user:1/canary@host:8123/db",
        "http://user:can#canary@host:8123/db",
        "http://user:1#canary@host:8123/db",
        "http://user:can?canary@host:8123/db",
        "http://user:1?canary@host:8123/db",
        "http://user:canary%@host:8123/db",
        "http://user:canary%zz@host:8123/db",
        "http://user:[canary@host:8123/db",
        "http://user:canary@host/a b",
        "http://user:canary@host/\x1b[2J",
        "http://user:canary@host/a\nb",
        "“http://host/canary”",
    ],
)
def test_what_is_no_url_is_refused_by_name_and_not_shown(name: str, url: str):
    with pytest.raises(ConfigError, match=name) as error:
        load_settings(None, {name: url})
    assert "canary" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("password", ["pa/ss", "pa\\ss", "pa#ss", "pa?ss", "100%", "50%off", "1/2", "[x"])
def test_a_password_that_must_be_encoded_is_told_as_that(password: str):
    with pytest.raises(ConfigError, match=r"percent-encode .* / as %2F") as error:
        load_settings(
            None, {"TENSORZERO_CLICKHOUSE_URL": f"http://user:{password}@127.0.0.1:8123/tensorzero"}
        )
    assert password not in str(error.value).replace("/ as", "").replace("% as", "")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:11434/v1", "http://localhost:11434/v1/"),
        ("http://localhost:11434", "http://localhost:11434/"),
        ("http://localhost:11434/v1//", "http://localhost:11434/v1/"),
        ("http://h/v1?api-version=1", "http://h/v1/?api-version=1"),
        ("http://h/v1/?a=1&b=c/d@e", "http://h/v1/?a=1&b=c/d@e"),
        ("HTTP://H/v1", "http://H/v1/"),
        ("http://user:p%40ss@h/v1", "http://user:p%40ss@h/v1/"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/"),
        ("https://h/models", "https://h/models/"),
    ],
)
def test_a_base_url_ends_its_path_in_a_slash_and_keeps_its_query(url: str, base: str):
    settings = load_settings(None, {"OPENAI_BASE_URL": url})
    assert settings.openai_base_url == base
    assert settings.notes == ()


@pytest.mark.parametrize("ending", ["/chat/completions", "/chat/completions/", "/completions", "/models"])
def test_an_endpoint_at_the_end_is_left_out_and_told(ending: str):
    settings = load_settings(None, {"OPENAI_BASE_URL": f"http://h/v1{ending}?api-version=1"})
    assert settings.openai_base_url == "http://h/v1/?api-version=1"
    assert settings.notes == (
        f"OPENAI_BASE_URL ends in {ending.rstrip('/')}, which is left out; set "
        "OPENAI_BASE_URL=http://h/v1/?api-version=1",
    )


def test_paths_are_appended_before_the_query():
    assert endpoint("http://h/v1/?a=1", "models") == "http://h/v1/models?a=1"
    assert endpoint("http://h/v1/", "models") == "http://h/v1/models"
    assert with_version("http://h/?a=1") == "http://h/v1/?a=1"
    assert split_query("http://h/v1/?a=1&b=") == ("http://h/v1/", {"a": "1", "b": ""})


@pytest.mark.parametrize("name", ["TENSORZERO_GATEWAY_URL", "TENSORZERO_UI_URL"])
def test_an_address_of_a_site_with_a_query_is_refused(name: str):
    with pytest.raises(ConfigError, match=f"{name} must not have a query"):
        load_settings(None, {name: "http://h:3000/?x=1"})


def test_the_uis_address_is_that_of_make_up_unless_it_is_set():
    assert load_settings(None, {}).ui_url == "http://127.0.0.1:4000"
    settings = load_settings(None, {"TENSORZERO_UI_URL": "https://u:pw1@ui.example/t0/"})
    assert settings.ui_url == "https://u:pw1@ui.example/t0"
    assert "pw1" not in repr(settings)
    with pytest.raises(ConfigError, match="TENSORZERO_UI_URL is not a valid"):
        load_settings(None, {"TENSORZERO_UI_URL": "ui.example"})


def test_pages_of_the_ui_show_no_password_and_choose_at_most_five_runs():
    assert fine_tuning_form("http://u:pw@h/t0") == "http://h/t0/optimization/supervised-fine-tuning"
    page = comparison_page("http://h:1", "babyai", list("abcdefg"))
    assert page == "http://h:1/workflow-evaluations/projects/babyai?run_ids=a,b,c,d,e"


def test_passwords_lone_users_and_keys_in_queries_are_secrets():
    assert {"p%40ss", "p@ss"} <= url_secrets("http://u:p%40ss@h/v1")
    assert url_secrets("https://sk-1@h/v1") >= {"sk-1", b64encode(b"sk-1:").decode()}
    assert b64encode(b"u:p@ss").decode() in url_secrets("http://u:p%40ss@h/v1")
    assert url_secrets("https://h/v1?api-version=2024&api_key=k-1") == {"k-1"}
    assert "pa#ss" in url_secrets("http://u:pa#ss@h:8123/db")
    assert url_secrets("http://h/v1") == url_secrets("") == set()


def test_no_url_secret_in_the_repr_of_settings():
    settings = load_settings(
        None,
        {
            "OPENAI_BASE_URL": "http://u:pw-canary@h/v1?key=q-canary",
            "TENSORZERO_GATEWAY_URL": "http://g-canary@h:3000",
        },
    )
    assert "canary" not in repr(settings)
    assert settings.redact("pw-canary q-canary g-canary") == "*** *** ***"
