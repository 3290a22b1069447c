"""What `doctor` says of several models, without a call: servers, keys, prices, last days."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from aiohttp import web

from babyai_kit.cli.configured_models import configured_models, model_table
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import Config, load_config
from tests.support.project import CONFIG
from tests.support.provider_hosts import provider_hosts

TODAY = date(2026, 11, 27)
KEY = "sk-canary-1"
AWAY = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        if provider.key:
            monkeypatch.delenv(provider.key, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


@dataclass
class Lists:
    """A server of lists: what came, and the most requests that were open at once."""

    url: str = ""
    asked: list[Mapping[str, str]] = field(default_factory=list)
    open: int = 0
    most: int = 0
    answer: Callable[[web.Request], Awaitable[web.Response]] | None = None
    """In place of the list."""


@asynccontextmanager
async def listing(*names: str, together: int = 1) -> AsyncIterator[Lists]:
    """It answers once so many requests are open, at any path."""
    lists, enough = Lists(), asyncio.Event()

    async def answer(http: web.Request) -> web.Response:
        lists.asked.append({"path": http.path_qs, **http.headers})
        lists.open += 1
        lists.most = max(lists.most, lists.open)
        if lists.most >= together:
            enough.set()
        await enough.wait()
        lists.open -= 1
        if lists.answer:
            return await lists.answer(http)
        return web.json_response({"data": [{"id": name} for name in names]})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    lists.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield lists
    await runner.cleanup()


def own(name: str, type_: str, **fields: str) -> str:
    """A model for config/models.toml."""
    lines = "".join(f'{field} = "{value}"\n' for field, value in {"type": type_, **fields}.items())
    return f'[models."{name}"]\nrouting = ["p"]\n[models."{name}".providers.p]\n{lines}\n'


async def told(folder: Path, *names: str, **settings: str) -> tuple[Config, list[tuple[str, str]], str]:
    """The configuration, grades and texts, and the table."""
    config = load_config(folder, load_settings(None, settings))
    models = await configured_models(config, names, today=TODAY)
    table = model_table(config, models)
    found = [(model.finding.grade, model.finding.text) for model in models]
    assert "canary" not in str(found) + table
    assert all(len(line) < 80 for line in table.splitlines())
    return config, found, table


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


async def test_every_server_is_asked_once_and_all_at_once(folder: Path):
    # Nobody would be answered if they were asked one after the other.
    async with listing("a", "b", "c", together=3) as lists:
        (folder / "models.toml").write_text(
            own("first", "vllm", model_name="a", api_base=f"{lists.url}/one/v1", api_key_location="none")
            + own("second", "vllm", model_name="b", api_base=f"{lists.url}/one/v1", api_key_location="none")
            + own("third", "sglang", model_name="c", api_base=f"{lists.url}/two", api_key_location="none")
        )
        _, found, _ = await told(
            folder, OPENAI_BASE_URL=f"{lists.url}/v1", OPENAI_API_KEY=KEY, AGENT_MODELS="a,b"
        )
    assert [grade for grade, _ in found] == ["note"] * 5
    assert all("which lists it; no price is known" in text for _, text in found)
    keys = {row["path"]: row.get("Authorization") for row in lists.asked}
    assert keys == {"/v1/models": f"Bearer {KEY}", "/one/v1/models": None, "/two/models": None}
    assert len(lists.asked) == 3


async def test_a_name_that_is_not_listed_is_told_with_the_one_that_was_meant(folder: Path):
    async with listing("llama-3.1-8b", "llama-3.1-70b", *(f"x{i}" for i in range(9))) as lists:
        (folder / "models.toml").write_text(
            own(
                "house", "vllm", model_name="lama-3.1-8b", api_base=f"{lists.url}/v1", api_key_location="none"
            )
        )
        _, found, _ = await told(folder, OPENAI_BASE_URL=f"{lists.url}/v1", AGENT_MODELS="Llama-3.1-70")
    (grade, text), (grade_of_house, text_of_house) = found
    assert grade == "TROUBLE"
    assert "does not list Llama-3.1-70; did you mean llama-3.1-70b? Set AGENT_MODELS to one of" in text
    assert text.endswith("one of llama-3.1-70b, llama-3.1-8b, x0, x1, x2, ...")
    assert grade_of_house == "note"
    assert "? Let config/models.toml name one of llama-3.1-8b, llama-3.1-70b," in text_of_house


async def test_a_flood_of_names_takes_no_time(folder: Path):
    async with listing(*(f"model-{i:070}" for i in range(40_000))) as lists:
        _, found, _ = await told(folder, OPENAI_BASE_URL=f"{lists.url}/v1", AGENT_MODEL="model-7")
    assert found[0][0] == "TROUBLE"
    assert len(found[0][1]) < 1000


async def test_an_address_without_its_version_is_told_where_it_stands(folder: Path):
    async with listing("m") as lists:

        async def versioned(http: web.Request) -> web.Response:
            return web.json_response({"data": [{"id": "m"}]} if http.path == "/v1/models" else {})

        lists.answer = versioned
        (folder / "models.toml").write_text(
            own("house", "vllm", model_name="m", api_base=lists.url, api_key_location="none")
        )
        _, found, _ = await told(folder, "house")
    base = lists.url
    assert found == [
        (
            "TROUBLE",
            f"house: {base}/ does not list models, but {base}/v1 does; let api_base in config/models.toml be "
            f"{base}/v1",
        )
    ]


async def test_a_provider_that_fails_is_a_note_while_there_is_another(folder: Path):
    async with listing("m") as lists:
        (folder / "models.toml").write_text(
            '[models.two]\nrouting = ["first", "second"]\n'
            '[models.two.providers.first]\ntype = "vllm"\nmodel_name = "m"\n'
            f'api_base = "{AWAY}"\napi_key_location = "none"\n'
            '[models.two.providers.second]\ntype = "vllm"\nmodel_name = "m"\n'
            f'api_base = "{lists.url}/v1"\napi_key_location = "none"\n'
        )
        _, ((grade, text),), _ = await told(folder, "two")
    assert grade == "note"
    assert text.startswith(f"two: {AWAY}/ does not answer: ")


async def test_anthropics_list_is_read_in_its_own_way(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    async with listing("claude-haiku-4-5-20251001") as lists:
        (folder / "models.toml").write_text(
            own("alias", "anthropic", model_name="claude-haiku-4-5", api_base=f"{lists.url}/v1")
            + own("dated", "anthropic", model_name="claude-haiku-4-5-20251001", api_base=f"{lists.url}/v1/")
            + own("other", "anthropic", model_name="claude-haiku-4-6", api_base=f"{lists.url}/v1/")
        )
        _, found, table = await told(folder, "alias", "dated", "other")
    (request,) = lists.asked
    assert request["path"] == "/v1/models?limit=1000"
    assert (request["x-api-key"], request["anthropic-version"]) == (KEY, "2023-06-01")
    assert [grade for grade, _ in found] == ["ok", "ok", "TROUBLE"]
    assert "does not list claude-haiku-4-6; did you mean claude-haiku-4-5-20251001?" in found[2][1]
    assert rows(table)[1] == ["alias", "1", "5", "-", "schema,", "tool", "no"]


async def test_providers_with_an_address_of_their_own_are_asked_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    listed = {
        "generativelanguage.googleapis.com": ["models/gemini-2.5-flash"],
        "openrouter.ai": ["qwen/qwen3-32b"],
        "api.fireworks.ai": ["accounts/fireworks/models/other"],
        "api.groq.com": None,
    }

    def answer(arrival):
        names = listed[arrival.host]
        if arrival.path == "/api/v1/key":  # OpenRouter's list is open to anybody
            return web.Response(status=401 if arrival.headers["Authorization"] != router_key else 200)
        return web.Response(status=401) if names is None else {"data": [{"id": name} for name in names]}

    for key in ("GOOGLE_AI_STUDIO", "OPENROUTER", "FIREWORKS", "GROQ"):
        monkeypatch.setenv(f"{key}_API_KEY", f"{KEY}-{key}")
    names = (
        "google_ai_studio_gemini::gemini-2.5-flash",
        "openrouter::qwen/qwen3-32b:nitro",
        "fireworks::mine",
        "groq::llama-3.1-8b-instant",
    )
    router_key = f"Bearer {KEY}-OPENROUTER"
    async with provider_hosts(tmp_path, monkeypatch) as hosts:
        hosts.answer = answer
        _, found, _ = await told(folder, *names)
        arrivals = list(hosts.arrivals)
        monkeypatch.setenv("OPENROUTER_API_KEY", f"{KEY}-wrong")
        _, (wrong,), _ = await told(folder, names[1])
        words = "API key not valid. Please pass a valid API key."
        error = [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]
        hosts.answer = lambda arrival: web.json_response(error, status=400)
        _, (wrong_too,), _ = await told(folder, names[0])
    gemini, router, fireworks, groq = found
    assert gemini == ("ok", f"{names[0]} at Google AI Studio, which lists it")
    assert router[1].startswith(f"{names[1]} at OpenRouter, which lists it")
    assert fireworks[0] == "note"
    assert "the first call will show whether it has it" in fireworks[1]
    assert groq == ("TROUBLE", f"{names[3]}: Groq refuses the key (401); set GROQ_API_KEY in .env")
    assert wrong == (
        "TROUBLE",
        f"{names[1]}: OpenRouter refuses the key (401); set OPENROUTER_API_KEY in .env",
    )
    remedy = "refuses the key (400); set GOOGLE_AI_STUDIO_API_KEY in .env"
    assert wrong_too == ("TROUBLE", f"{names[0]}: Google AI Studio {remedy}")
    sent = {a.host + a.path: a.headers["Authorization"] for a in arrivals}
    google = "generativelanguage.googleapis.com/v1beta/openai/models"
    assert sent[google] == f"Bearer {KEY}-GOOGLE_AI_STUDIO"
    assert sent["openrouter.ai/api/v1/models"] == sent["openrouter.ai/api/v1/key"] == router_key


async def test_a_key_that_is_missing_is_trouble_for_a_plan_and_else_a_note(folder: Path):
    (folder / "models.toml").write_text(
        own("claude", "anthropic", model_name="claude-haiku-4-5")
        + own("bedrock", "aws_bedrock", model_id="us.anthropic.claude-haiku-4-5-20251001-v1:0", region="x")
    )
    names = "groq::llama-3.1-8b-instant,nobody::x"
    _, found, table = await told(folder, AGENT_MODELS=names)
    groq, nobody, claude, bedrock = found
    assert groq[0] == nobody[0] == "TROUBLE"
    assert "groq::llama-3.1-8b-instant needs GROQ_API_KEY, which is not set" in groq[1]
    assert "nobody" in nobody[1]
    assert claude[0] == "note"
    assert "claude needs ANTHROPIC_API_KEY, which is not set" in claude[1]
    assert bedrock == ("ok", "bedrock at AWS Bedrock, where only a call shows whether it answers")
    assert ["bedrock", "1.1", "5.5", "-", "schema,", "tool", "no"] in rows(table)
    _, ((grade, _),), _ = await told(folder, "claude")
    assert grade == "TROUBLE"


async def test_a_server_that_is_away_has_one_reason_for_all_its_models(folder: Path):
    secret = "http://user:canary@127.0.0.1:9/v1/"
    (folder / "models.toml").write_text(
        own("house", "vllm", model_name="m", api_base=secret, api_key_location="none")
        + own("home", "vllm", model_name="n", api_base=secret, api_key_location="none")
    )
    _, found, table = await told(folder, "house", "home")
    assert found[0][0] == found[1][0] == "TROUBLE"
    assert found[0][1].startswith("house: http://user:***@127.0.0.1:9/v1/ does not answer: ")
    assert found[1][1] == "home: as for house"
    assert rows(table)[1] == ["house", "?", "?", "-", "schema,", "json", "ask"]


async def test_prices_and_last_days_stand_in_the_table(folder: Path):
    settings = {"OPENAI_BASE_URL": AWAY, "AGENT_MODELS": "gpt-6-luna,gpt-4o-mini,mine"}
    _, found, table = await told(folder, **settings)
    assert {row[0]: row[1:4] for row in rows(table)[1:4]} == {
        "gpt-6-luna": ["0.1", "0.5", "-"],
        "gpt-4o-mini": ["0.15", "0.6", "2027-01-14"],
        "mine": ["?", "?", "-"],
    }
    assert "gpt-4o-mini leaves OpenAI's API on 2027-01-14, in 48 days" in found[1][1]
    assert found[2] == ("TROUBLE", "mine: as for gpt-6-luna")


async def test_models_of_this_machine_need_no_table(folder: Path):
    _, found, table = await told(folder)
    assert [grade for grade, _ in found] == ["note"]
    assert "NO language model; set OPENAI_API_KEY" in found[0][1]
    assert table == ""


async def test_a_plan_without_the_settings_own_model_does_not_speak_of_it(folder: Path):
    _, found, _ = await told(folder, OPENAI_API_KEY=KEY, AGENT_MODELS="groq::x")
    assert [text.partition(" needs")[0] for _, text in found] == ["groq::x"]


async def test_a_redirect_takes_no_key_elsewhere(folder: Path):
    async with listing("m") as elsewhere, listing() as lists:

        async def redirect(http: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(f"{elsewhere.url}/v1/models")

        lists.answer = redirect
        settings = {"OPENAI_BASE_URL": f"{lists.url}/v1", "OPENAI_API_KEY": KEY, "AGENT_MODEL": "m"}
        _, found, _ = await told(folder, **settings)
    assert not elsewhere.asked
    assert found[0][0] == "TROUBLE"
    assert "set OPENAI_BASE_URL to it" in found[0][1]


async def test_a_registered_model_is_looked_for_at_the_server_of_the_settings(folder: Path):
    (folder / "finetuned").mkdir()
    (folder / "finetuned/tuned.toml").write_text(
        own("tuned", "openai", model_name="ft:gpt-4o-mini:me::1", api_base=AWAY, api_key_location="none")
        + '[functions.act.variants.tuned]\ntype = "chat_completion"\nmodel = "tuned"\njson_mode = "on"\n'
    )
    async with listing("m", "ft:gpt-4o-mini:me::1") as lists:
        _, found, _ = await told(folder, OPENAI_BASE_URL=f"{lists.url}/v1", AGENT_MODEL="m")
    assert f"ft:gpt-4o-mini:me::1 at {lists.url}/v1/, which lists it" in found[1][1]
    assert len(lists.asked) == 1
