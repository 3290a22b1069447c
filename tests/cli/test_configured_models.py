"""What `doctor` says of the models besides that of the settings."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from babyai_kit.cli.configured_models import configured_models
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from tests.support.project import CONFIG

TODAY = date(2026, 11, 27)
MODELS = """
[models.house]
routing = ["own"]
[models.house.providers.own]
type = "vllm"
model_name = "llama-3.1-8b"
api_base = "http://user:canary@10.0.0.5:8000/v1/"
api_key_location = "none"

[models.bedrock]
routing = ["aws"]
[models.bedrock.providers.aws]
type = "aws_bedrock"
model_id = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
region = "us-east-1"
"""


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        if provider.key:
            monkeypatch.delenv(provider.key, raising=False)


def findings(config: Path, **settings: str) -> list[tuple[str, str]]:
    loaded = load_config(config, load_settings(None, settings))
    return [(finding.grade, finding.text) for finding in configured_models(loaded, TODAY)]


def test_a_model_alone_is_told_by_its_server():
    assert findings(CONFIG) == findings(CONFIG, OPENAI_API_KEY="sk-1") == []


def test_key_price_and_last_day_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = shutil.copytree(CONFIG, tmp_path / "config")
    (config / "models.toml").write_text(MODELS)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
    names = "gpt-6-luna,openai::gpt-4o-mini,anthropic::claude-haiku-4-5,groq::llama-3.1-8b-instant,nobody::x"
    found = findings(config, OPENAI_API_KEY="sk-canary", AGENT_MODELS=names)
    assert "canary" not in str(found)
    mini, claude, groq, nobody, house, bedrock = found
    assert mini[0] == "note"
    assert "openai::gpt-4o-mini at https://api.openai.com/v1/, $0.15 and $0.6 per million tokens" in mini[1]
    assert mini[1].endswith("gpt-4o-mini leaves OpenAI's API on 2027-01-14, in 48 days; name another model")
    assert claude == (
        "ok",
        "anthropic::claude-haiku-4-5 at Anthropic, $1 and $5 per million tokens of input and output",
    )
    assert groq[0] == "TROUBLE"
    assert "groq::llama-3.1-8b-instant needs GROQ_API_KEY" in groq[1]
    assert nobody[0] == "TROUBLE"
    assert "nobody" in nobody[1]
    assert house[0] == "note"
    assert "house at http://user:***@10.0.0.5:8000/v1/" in house[1]
    assert "no price is known" in house[1]
    assert bedrock == (
        "ok",
        "bedrock at AWS Bedrock, $1.1 and $5.5 per million tokens of input and output",
    )


def test_a_model_that_no_plan_names_by_itself_may_lack_its_key(tmp_path: Path):
    config = shutil.copytree(CONFIG, tmp_path / "config")
    (config / "models.toml").write_text(
        '[models.claude]\nrouting = ["a"]\n'
        '[models.claude.providers.a]\ntype = "anthropic"\nmodel_name = "claude-haiku-4-5"\n'
    )
    ((grade, text),) = findings(config, OPENAI_API_KEY="sk-1")
    assert grade == "note"
    assert "model claude needs ANTHROPIC_API_KEY, which is not set" in text
