"""`doctor`: what is configured, reachable and missing, in one screen.

Knows how to look at each part and what to say of it; changes nothing. The local ClickHouse is started to
see that it starts, as a run would, and ends again with the last that uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from packaging.requirements import InvalidRequirement, Requirement

from babyai_kit.cli import compose
from babyai_kit.configuration import addresses
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import KitError, StoreError
from babyai_kit.gateway.http_gateway import CLIENT_VERSION, gateway_version, healthy
from babyai_kit.store.client import open_client

OLDEST, NEWEST = (3, 10), (3, 13)
LEAST_FREE_GB = 1.0
PORTS = {
    addresses.LOCAL_CLICKHOUSE_PORT: "local ClickHouse",
    addresses.COMPOSE_GATEWAY_PORT: "gateway of make up",
    addresses.COMPOSE_UI_PORT: "UI of make up",
    addresses.COMPOSE_CLICKHOUSE_PORT: "ClickHouse of make up",
}
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Finding:
    """One line: `grade` is "ok", "note" (works, but worth knowing) or "TROUBLE" (a run would fail)."""

    grade: str
    part: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade:<8}{self.part:<12}{self.text}"


async def examine(
    *, env_file: str | Path | None = ".env", config: str | Path = "config", data: str | Path = "data"
) -> list[Finding]:
    """Look at every part; one finding or more of each, in the order in which a run needs them."""
    findings = [python(), packages(), *disk(Path(data))]
    try:
        settings = load_settings(env_file)
        loaded = load_config(config, settings)
    except KitError as error:
        return [*findings, Finding("TROUBLE", "Settings", str(error))]
    price = (
        ""
        if loaded.prices.price_of(settings.model) or settings.offline
        else "; no price in prices.json, so cost is NaN"
    )
    looks = [model(settings, price), gateway(settings), asyncio.to_thread(store, settings, data)]
    findings += await asyncio.gather(*looks)
    return [*findings, *ports(settings), await asyncio.to_thread(docker)]


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return Finding("ok", "Python", version)
    return Finding("TROUBLE", "Python", f"{version} is not supported; use 3.10 to 3.13")


def packages() -> Finding:
    """The installed packages against requirements.txt, or what was installed of it."""
    wanted = list(_requirements())
    wrong = []
    for requirement in wanted:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if wrong:
        return Finding("TROUBLE", "Packages", f"{'; '.join(wrong)}; run: pip install -r requirements.txt")
    return Finding("ok", "Packages", f"{len(wanted)} of {len(wanted)} as requirements.txt asks")


def _requirements() -> Iterator[Requirement]:
    file = Path(__file__).parent.parent.parent / "requirements.txt"
    lines = (
        file.read_text(encoding="utf-8").splitlines() if file.exists() else metadata.requires("babyai-kit")
    )
    for line in lines or []:
        with contextlib.suppress(InvalidRequirement):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                yield requirement


def disk(data: Path) -> Iterator[Finding]:
    for name, folder in (("data", data), ("results", Path("results"))):
        there = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
        free = shutil.disk_usage(there).free / 1e9
        if not os.access(there, os.W_OK) or not there.is_dir():
            yield Finding("TROUBLE", "Disk", f"{name}/ cannot be written; give it rights")
        elif free < LEAST_FREE_GB:
            yield Finding("TROUBLE", "Disk", f"{free:.1f} GB free for {name}/; make room")
        elif name == "data":
            yield Finding("ok", "Disk", f"{free:.0f} GB free")


async def model(settings: Settings, price: str) -> Finding:
    """Ask the model server for its list, which costs nothing and shows whether the key is taken."""
    if settings.offline:
        text = "offline player, which is NO language model; set OPENAI_API_KEY or OPENAI_BASE_URL for one"
        return Finding("note", "Model", text)
    if not settings.openai_base_url:
        return Finding("ok", "Model", f"{settings.model}, as the gateway has it{price}")
    where = settings.redact(settings.openai_base_url)
    headers = {"Authorization": f"Bearer {settings.openai_api_key}"} if settings.openai_api_key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as client,
            client.get(f"{settings.openai_base_url}models", headers=headers) as reply,
        ):
            status = reply.status
            listed = _names(await reply.json(content_type=None)) if status == 200 else []
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
        reason = settings.redact(" ".join(str(error).split())) or type(error).__name__
        text = f"{where} does not answer ({reason}); start it, or mend OPENAI_BASE_URL"
        return Finding("TROUBLE", "Model", text)
    if status in (401, 403):
        text = f"{where} refuses the key ({status}); set OPENAI_API_KEY in .env"
        return Finding("TROUBLE", "Model", text)
    if listed and settings.model not in listed:
        shown = ", ".join(sorted(listed)[:5]) + (", ..." if len(listed) > 5 else "")
        text = f"{where} lists no {settings.model}; set AGENT_MODEL to one of {shown}"
        return Finding("TROUBLE", "Model", text)
    if status != 200 or not listed:
        text = f"{where} answers, but lists no models; a first call will tell whether it has {settings.model}"
        return Finding("note", "Model", text)
    return Finding("note" if price else "ok", "Model", f"{settings.model} at {where}{price}")


def _names(answer: object) -> list[str]:
    models = answer.get("data") if isinstance(answer, dict) else None
    return [m["id"] for m in models if isinstance(m, dict) and "id" in m] if isinstance(models, list) else []


async def gateway(settings: Settings) -> Finding:
    if not settings.gateway_url:
        text = f"TensorZero {CLIENT_VERSION}, embedded"
        if await healthy(addresses.COMPOSE_GATEWAY, timeout_s=1):
            text += (
                f"; another answers on port {addresses.COMPOSE_GATEWAY_PORT}: "
                f"TENSORZERO_GATEWAY_URL={addresses.COMPOSE_GATEWAY} uses it"
            )
            return Finding("note", "Gateway", text)
        return Finding("ok", "Gateway", text)
    where = settings.redact(settings.gateway_url)
    if not await healthy(settings.gateway_url, timeout_s=5):
        text = f"no gateway answers at {where}; start it (make up) or unset TENSORZERO_GATEWAY_URL"
        return Finding("TROUBLE", "Gateway", text)
    version = await gateway_version(settings.gateway_url) or "of unknown version"
    if version != CLIENT_VERSION:
        text = f"{where} is {version}, the client {CLIENT_VERSION}; pin them to one version"
        return Finding("note", "Gateway", text)
    return Finding("ok", "Gateway", f"TensorZero {version} at {where}")


def store(settings: Settings, data: str | Path) -> Finding:
    """Connect, starting the local server if that is configured, and count. Blocks."""
    if settings.gateway_url and not settings.clickhouse_url:
        text = (
            "TENSORZERO_GATEWAY_URL is set alone; set TENSORZERO_CLICKHOUSE_URL to the gateway's ClickHouse"
        )
        return Finding("TROUBLE", "ClickHouse", text)
    where = f"{urlsplit(settings.clickhouse_url).hostname}" if settings.clickhouse_url else f"local, {data}/"
    try:
        with contextlib.closing(open_client(settings.clickhouse_url, data=data)) as client:
            version = client.query("SELECT version()").result_rows[0][0]
            made = client.query(
                "SELECT count() FROM system.tables "
                "WHERE database = currentDatabase() AND name = 'JsonInference'"
            ).result_rows[0][0]
            rows = client.query("SELECT count() FROM JsonInference").result_rows[0][0] if made else 0
    except StoreError as error:
        return Finding("TROUBLE", "ClickHouse", settings.redact(str(error)))
    except Exception as error:
        # The driver raises its own and its HTTP library's errors alike.
        reason = settings.redact(" ".join(str(error).split())[:200])
        return Finding("TROUBLE", "ClickHouse", f"{where} does not answer; see that it runs: {reason}")
    return Finding("ok", "ClickHouse", f"{version} ({where}), {rows:,} inferences")


def ports(settings: Settings) -> Iterator[Finding]:
    """Which of the kit's ports others hold; the local ClickHouse takes another then, Docker can't."""
    for port, user in PORTS.items():
        if str(port) in settings.gateway_url + settings.clickhouse_url:
            continue
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if taken and port == addresses.LOCAL_CLICKHOUSE_PORT:
            text = f"{port} is in use; if not by the local ClickHouse itself, that takes a free port instead"
            yield Finding("note", "Ports", text)
        elif taken:
            yield Finding("note", "Ports", f"{port} ({user}) is in use; stop what holds it before make up")


def docker() -> Finding:
    version = compose.compose_version()
    if version is None:
        return Finding("note", "Compose", "no Docker; only make up, which brings the UI, needs it")
    text = ".".join(map(str, version))
    if version < compose.MIN_VERSION:
        least = ".".join(map(str, compose.MIN_VERSION))
        return Finding("note", "Compose", f"{text} is older than {least}; update Docker before make up")
    return Finding("ok", "Compose", text)
