"""The way to a fine-tuning server: proxies, certificates, servers that go away, stall or never finish."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from babyai_kit import finetune
from babyai_kit.errors import ConfigError, ModelError
from babyai_kit.finetune.http_client import MAX_ANSWER_BYTES
from tests.support.finetune_examples import curation
from tests.support.third_party_server import ThirdParty

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def export(tmp_path: Path) -> finetune.Export:
    return finetune.export(curation(), tmp_path / "job")


@pytest.fixture(autouse=True)
def _no_ambient_proxy(monkeypatch: pytest.MonkeyPatch):
    for name in (*PROXIES, "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def quiet(line: str) -> None:
    pass


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "socks4://x", "http://[::1"])
async def test_no_proxy_applies_to_this_machine(
    export: finetune.Export, monkeypatch: pytest.MonkeyPatch, proxy: str
):
    for name in PROXIES:
        monkeypatch.setenv(name, proxy)
    async with ThirdParty() as other:
        server = finetune.Server(other.base_url, max_retries=0)
        assert (await finetune.launch(server, export, say=quiet)).job_id == "j1"


async def test_a_proxy_applies_to_other_machines(export: finetune.Export, monkeypatch: pytest.MonkeyPatch):
    async with ThirdParty() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        server = finetune.Server("http://provider.example/api", max_retries=0)
        assert (await finetune.launch(server, export, say=quiet)).base_url == "http://provider.example/api"
        assert proxy.count("create") == 1
    (export.folder / "job.json").unlink()
    with pytest.raises(ModelError, match="check HTTP_PROXY") as raised:
        await finetune.launch(server, export, say=quiet)
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ALL_PROXY", "socks5://me:secret@proxy", "ALL_PROXY names a socks5 proxy"),
        ("HTTP_PROXY", "http://me:secret@[::1", "HTTP_PROXY"),
        ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE names /nowhere.pem, which does not exist"),
        ("SSL_CERT_DIR", "/nowhere", "SSL_CERT_DIR names /nowhere"),
    ],
)
async def test_variables_that_cannot_be_used_are_named(
    export: finetune.Export, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words) as raised:
        await finetune.launch(finetune.Server("http://provider.example/v1"), export, say=quiet)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (finetune.Server("http://127.0.0.1:9/v1", "sk-\u201ccanary\u201d"), "OPENAI_API_KEY"),
        (finetune.Server("http://127.0.0.1:9/v1", "sk-canary\n"), "OPENAI_API_KEY"),
        (finetune.Server("http://me:canary@[::1"), "OPENAI_BASE_URL"),
    ],
)
async def test_a_key_or_address_that_cannot_be_sent(export: finetune.Export, server, words: str):
    with pytest.raises(ConfigError, match=words) as raised:
        await finetune.launch(server, export, say=quiet)
    assert "canary" not in str(raised.value)


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A server's, signed by itself; `cert.pem` has its public part."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


async def test_a_private_certificate_authority(
    export: finetune.Export,
    certificate: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    async with ThirdParty(certificate=certificate) as other:
        server = finetune.Server(other.base_url, max_retries=0)
        with pytest.raises(ModelError, match="set SSL_CERT_FILE") as raised:
            await finetune.launch(server, export, say=quiet)
        assert raised.value.fatal
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert (await finetune.launch(server, export, say=quiet)).job_id == "j1"


async def test_a_server_that_goes_away_and_comes_back_is_waited_for(export: finetune.Export):
    away = asyncio.Event()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if "cannot be reached" in line:
            away.set()

    async with ThirdParty(["running"]) as other:
        server = finetune.Server(other.base_url, max_retries=0)
        await finetune.launch(server, export, say=quiet)
        waiting = asyncio.create_task(
            finetune.wait(server, export.folder, first_wait_s=0.01, longest_wait_s=0.05, say=say)
        )
    await asyncio.wait_for(away.wait(), 200)
    async with ThirdParty(["running", "succeeded"], port=other.port) as back:
        back.refuse["show"] = [(502, "<html>starting</html>"), (200, "<html>starting</html>")]
        assert (await asyncio.wait_for(waiting, 200)).fine_tuned_model == "tuned:1"
    assert len([line for line in lines if line.startswith("Waiting for the server: ")]) == 1


async def test_the_wait_is_as_long_as_the_server_asks(export: finetune.Export):
    asked = asyncio.Event()

    async def busy(http: web.Request) -> web.Response:
        asked.set()
        return web.json_response({}, status=429, headers={"Retry-After": "3600"})

    async with ThirdParty(["running"]) as other:
        other.refuse["show"] = [busy] * 9
        server = finetune.Server(other.base_url, max_retries=0)
        await finetune.launch(server, export, say=quiet)
        waiting = asyncio.create_task(finetune.wait(server, export.folder, first_wait_s=0.0, say=quiet))
        await asyncio.wait_for(asked.wait(), 200)
        await asyncio.sleep(0.2)
        assert other.count("show") == 1
        waiting.cancel()


async def test_a_server_that_never_finishes_its_answer(export: finetune.Export):
    stopped = asyncio.Event()

    async def drip(http: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(http)
        while not stopped.is_set():
            await response.write(b" ")
            await asyncio.sleep(0.01)
        return response

    async with ThirdParty(["running"]) as other:
        await finetune.launch(finetune.Server(other.base_url), export, say=quiet)
        other.refuse["show"] = [drip]
        with pytest.raises(ModelError, match="did not answer in time") as raised:
            await finetune.poll(finetune.Server(other.base_url, timeout_s=0.3), export.folder)
        stopped.set()
    assert (raised.value.kind, raised.value.retryable) == ("timeout", True)


@pytest.mark.parametrize(("status", "words"), [(200, "more than 8 MB"), (400, "400: Bad Request")])
@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_without_end_is_read_to_a_limit(
    export: finetune.Export, status: int, words: str, packed: bool
):
    written = 0

    async def flood(http: web.Request) -> web.StreamResponse:
        nonlocal written
        headers = {"Content-Encoding": "gzip"} if packed else {}
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(http)
        chunk = gzip.compress(bytes(8 * MAX_ANSWER_BYTES)) if packed else bytes(2**16)
        while written < 64 * MAX_ANSWER_BYTES:
            await response.write(chunk)
            written += len(chunk)
        return response

    async with ThirdParty() as other:
        other.refuse["upload"] = [flood]
        with pytest.raises(ModelError, match=words):
            await finetune.launch(finetune.Server(other.base_url), export, say=quiet)
    assert written < 2 * MAX_ANSWER_BYTES
