"""Providers' shorthands and keys, against the gateway itself."""

from __future__ import annotations

import pytest
import tomlkit

from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.providers import is_shorthand, missing_keys, needed_keys, shorthand
from babyai_kit.errors import ConfigError, InputError
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway

pytestmark = pytest.mark.e2e

REQUIRED = {
    "api_base": "http://127.0.0.1:9/v1",
    "deployment_id": "deployment",
    "endpoint": "https://example.openai.azure.com",
    "endpoint_name": "endpoint",
    "hosted_provider": "openai",
    "location": "us-central1",
    "model_id": "model",
    "model_name": "model",
    "project_id": "project",
    "region": "us-east-1",
}
GATEWAY = "[gateway]\ndisable_pseudonymous_usage_analytics = true\n[gateway.observability]\nenabled = false\n"


@pytest.fixture
def without_keys(monkeypatch):
    for provider in PROVIDERS.values():
        monkeypatch.delenv(provider.key, raising=False) if provider.key else None
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def table_of(type_: str, **fields: object) -> dict[str, object]:
    return {"type": type_} | {name: REQUIRED[name] for name in PROVIDERS[type_].required} | fields


async def build(tmp_path, *tables: dict[str, object], **others: object) -> None:
    """The embedded gateway with a model for each of these provider tables. Raises what it says."""
    models = {f"m{i}": {"routing": ["p"], "providers": {"p": table}} for i, table in enumerate(tables)}
    file = tmp_path / "models.toml"
    file.write_text(GATEWAY + tomlkit.dumps({"models": models} | others))
    await TensorZeroGateway.embedded(str(file), None)  # which nobody asks anything: nothing is to be flushed


@pytest.mark.parametrize("type_", [t for t, p in PROVIDERS.items() if p.key])
async def test_the_gateway_wants_just_the_key_that_is_named(type_, tmp_path, without_keys, monkeypatch):
    table = table_of(type_)
    (key,) = missing_keys(table, {})
    assert key == PROVIDERS[type_].key
    with pytest.raises(ConfigError, match=f"`{key}`|{key}"):
        await build(tmp_path, table)
    if PROVIDERS[type_].key_field == "credential_location":
        return  # which is a file of Google's making
    monkeypatch.setenv(key, "k")
    await build(tmp_path, table)
    assert missing_keys(table, {key: "k"}) == ()


async def test_no_field_that_is_said_to_be_required_has_a_default(tmp_path, without_keys):
    for type_, provider in PROVIDERS.items():
        for field in provider.required:
            table = table_of(type_, **({"api_key_location": "dynamic::k"} if provider.key else {}))
            if provider.key_field == "credential_location":
                table = table_of(type_, credential_location="dynamic::k")
            del table[field]
            if (type_, field) == ("gcp_vertex_gemini", "model_id"):
                continue  # or an endpoint_id
            with pytest.raises(ConfigError):
                await build(tmp_path, table)


async def test_none_is_taken_where_it_is_said(tmp_path, without_keys):
    for type_, provider in PROVIDERS.items():
        table = table_of(type_, **{provider.key_field: "none"})
        assert missing_keys(table, {}) == ()
        if provider.keyless:
            await build(tmp_path, table)
        elif type_ != "xai":  # refuses it at the first call only
            with pytest.raises(ConfigError):
                await build(tmp_path, table)


LOCATIONS = {
    "env": ({"api_key_location": "env::MINE"}, ("MINE",)),
    "path from env": ({"api_key_location": "path_from_env::MINE"}, ("MINE",)),
    "none": ({"api_key_location": "none"}, ()),
    "dynamic": ({"api_key_location": "dynamic::key"}, ()),
    "path": ({"api_key_location": "path::/key"}, ()),
    "both": ({"api_key_location": {"default": "env::A", "fallback": "env::B"}}, ("A", "B")),
    "fallback": ({"api_key_location": {"default": "dynamic::A", "fallback": "none"}}, ()),
    "default": ({}, ("OPENAI_API_KEY",)),
    "not a location": ({"api_key_location": 3}, ()),
}


@pytest.mark.parametrize(("fields", "names"), LOCATIONS.values(), ids=LOCATIONS)
def test_where_a_key_is_said_to_be(fields, names):
    assert needed_keys({"type": "openai", "model_name": "m"} | fields) == names


@pytest.mark.parametrize("fallback", ["none", "dynamic::k"])
async def test_a_fallback_does_not_spare_the_default(fallback, tmp_path, without_keys, monkeypatch):
    table = table_of("openai", api_key_location={"default": "env::ABSENT_KEY", "fallback": fallback})
    assert missing_keys(table, {}) == ("ABSENT_KEY",)
    with pytest.raises(ConfigError, match="ABSENT_KEY"):
        await build(tmp_path, table)


async def test_a_default_of_its_type_is_followed(tmp_path, without_keys, monkeypatch):
    types = {"openai": {"defaults": {"api_key_location": "env::ELSEWHERE"}}}
    table = table_of("openai")
    assert missing_keys(table, {}, types) == ("ELSEWHERE",)
    with pytest.raises(ConfigError, match="ELSEWHERE"):
        await build(tmp_path, table, provider_types=types)
    assert missing_keys(table, {}, {"openai": {"defaults": {"api_key_location": "none"}}}) == ()
    assert missing_keys(table, {}, {"groq": 3, "openai": None}) == ("OPENAI_API_KEY",)


async def test_azure_may_have_its_older_key(tmp_path, without_keys, monkeypatch):
    older = {"AZURE_OPENAI_API_KEY": "k"}
    assert missing_keys(table_of("azure"), older) == ()
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    await build(tmp_path, table_of("azure"))
    named = table_of("azure", api_key_location="env::AZURE_API_KEY")
    assert missing_keys(named, older) == ("AZURE_API_KEY",)
    with pytest.raises(ConfigError, match="AZURE_API_KEY"):
        await build(tmp_path, named)


async def test_what_is_not_a_key_may_stand_in_a_variable_too(tmp_path, without_keys, monkeypatch):
    azure = table_of("azure", endpoint="env::MY_ENDPOINT", api_key_location="dynamic::k")
    bedrock = table_of("aws_bedrock", region="env::MY_REGION", api_key="env::MY_TOKEN")
    assert missing_keys(azure, {}) == ("MY_ENDPOINT",)
    assert missing_keys(bedrock, {}) == ("MY_TOKEN", "MY_REGION")
    for table in (azure, bedrock):
        with pytest.raises(ConfigError, match="MY_"):
            await build(tmp_path, table)


def test_bedrock_finds_its_own_key_unless_it_is_named():
    assert needed_keys(table_of("aws_bedrock")) == ()
    keys = {"access_key_id": "env::A", "secret_access_key": "env::B", "session_token": "env::C"}
    assert needed_keys(table_of("aws_bedrock", **keys)) == ("A", "B", "C")


def test_an_empty_key_is_missing():
    assert missing_keys({"type": "openai"}, {"OPENAI_API_KEY": " "}) == ("OPENAI_API_KEY",)


def test_a_table_of_no_known_type_is_left_to_the_gateway():
    assert needed_keys({"type": "other", "api_key_location": "env::X"}) == ("X",)
    assert needed_keys({}) == ()


@pytest.mark.parametrize("type_", [t for t, p in PROVIDERS.items() if p.shorthand])
async def test_a_shorthand_is_a_table_that_the_gateway_takes(type_, tmp_path, without_keys):
    name = "projects/p/locations/l/publishers/google/models/m" if "vertex" in type_ else "org/model:free"
    table = shorthand(f"{type_}::{name}")
    assert is_shorthand(f"{type_}::{name}")
    assert missing_keys(table, {}) == (PROVIDERS[type_].key,)
    field = PROVIDERS[type_].key_field
    await build(tmp_path, table | {field: "dynamic::k"})


def test_the_forms_of_shorthands():
    assert shorthand("anthropic::claude-x") == {"type": "anthropic", "model_name": "claude-x"}
    assert shorthand("openai::responses::gpt-x") == {
        "type": "openai",
        "model_name": "gpt-x",
        "api_type": "responses",
    }
    assert shorthand("gcp_vertex_gemini::projects/p/locations/l/endpoints/7") == {
        "type": "gcp_vertex_gemini",
        "project_id": "p",
        "location": "l",
        "endpoint_id": "7",
    }
    # What is after the type is the provider's own, whatever it looks like.
    assert shorthand("openrouter::a/b::c")["model_name"] == "a/b::c"


REFUSED = {
    "anthropc::claude-x": "did you mean 'anthropic'?",
    "Anthropic::claude-x": "did you mean 'anthropic'?",
    "gemini::x": "did you mean 'google_ai_studio_gemini'?",
    "bedrock::x": "did you mean 'aws_bedrock'?",
    "nobody::x": "choose from anthropic",
    "dummy::x": "choose from anthropic",
    "::x": "choose from anthropic",
    "openai::": "write openai::NAME",
    "azure::x": "deployment_id, endpoint",
    "vllm::x": "config/models.toml",
    "gcp_vertex_gemini::gemini-x": "projects/PROJECT/locations/REGION",
}


@pytest.mark.parametrize(("name", "remedy"), REFUSED.items(), ids=REFUSED)
def test_a_shorthand_that_leads_nowhere_is_refused_with_the_remedy(name, remedy):
    with pytest.raises(InputError) as caught:
        shorthand(name)
    assert remedy in str(caught.value)
    assert name in str(caught.value)
