"""`config/models.toml.example`: each model loads in the embedded gateway, and wants the key that it says."""

from __future__ import annotations

import shutil

import pytest
import tomlkit

from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.providers import missing_keys
from babyai_kit.configuration.served_models import own_models
from babyai_kit.configuration.settings import load_settings
from babyai_kit.errors import ConfigError
from tests.support.project import ROOT
from tests.support.provider_gateway import provider_gateway

pytestmark = pytest.mark.e2e

EXAMPLE = ROOT / "config" / "models.toml.example"
TEXT = EXAMPLE.read_text(encoding="utf-8")
MODELS = tomlkit.parse(TEXT).unwrap()["models"]
KEYS = {
    "luna": "OPENAI_API_KEY",
    "claude": "ANTHROPIC_API_KEY",
    "gemini": "GOOGLE_AI_STUDIO_API_KEY",
    "glm": "OPENROUTER_API_KEY",
    "qwen": None,
    "gemma": None,
    "azure": "AZURE_API_KEY",
    "bedrock": "AWS_BEARER_TOKEN_BEDROCK",
}


@pytest.fixture(autouse=True)
def without_keys(monkeypatch):
    for name in (*KEYS.values(), "AZURE_OPENAI_API_KEY"):
        if name:
            monkeypatch.delenv(name, raising=False)


def test_there_is_a_model_of_each_provider_that_people_ask_for():
    assert list(MODELS) == list(KEYS)
    types = {p["type"] for model in MODELS.values() for p in model["providers"].values()}
    assert types == {
        "openai",
        "anthropic",
        "google_ai_studio_gemini",
        "openrouter",
        "vllm",
        "azure",
        "aws_bedrock",
    }


@pytest.mark.parametrize(("name", "key"), KEYS.items())
async def test_each_loads_with_its_key_and_is_refused_without(name, key, monkeypatch):
    model = MODELS[name]
    (table,) = model["providers"].values()
    assert missing_keys(table, {}) == ((key,) if key else ())
    if key:
        with pytest.raises(ConfigError, match=key):
            async with provider_gateway({name: table}):
                pass
        monkeypatch.setenv(key, "k")
        assert missing_keys(table, {key: "k"}) == ()
    async with provider_gateway({name: table}):
        pass


def test_the_kit_reads_the_file_as_its_users_will_have_it(tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "models.toml")
    models = own_models(tmp_path, load_settings(None, {}))
    assert {name: model.missing for name, model in models.items()} == {
        name: (key,) if key else () for name, key in KEYS.items()
    }


def test_the_comment_above_each_names_its_key():
    parts = TEXT.split("\n\n# ")
    for name, key in KEYS.items():
        if key:
            (part,) = (part for part in parts if f"[models.{name}]" in part)
            assert key in part


def test_the_page_names_every_provider_with_its_key():
    page = (ROOT / "docs" / "model-servers.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for type_, provider in PROVIDERS.items():
        row = next((row for row in rows if f"`{type_}" in row), "")
        assert provider.name in row, type_
        if provider.key:
            assert f"`{provider.key}`" in row
