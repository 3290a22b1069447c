"""The checks of `doctor`: what is configured, reachable and missing, in one screen.

Nothing is changed, but for one row that a gateway over HTTP is asked to store. The local ClickHouse is
started, as a run would, to see that it starts; it ends with its last user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from babyai_kit.cli import compose
from babyai_kit.cli.configured_models import configured_models, model_table
from babyai_kit.cli.finding import NOTE, OK, TROUBLE, Finding
from babyai_kit.cli.gateway_check import gateway
from babyai_kit.configuration import addresses
from babyai_kit.configuration.project import (
    PROJECT_CONFIG,
    PROJECT_DATA,
    PROJECT_ENV,
    PROJECT_RESULTS,
    StrPath,
)
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import KitError, StoreError
from babyai_kit.missing_packages import remedy
from babyai_kit.python_version import SUPPORTED, is_supported
from babyai_kit.store.client import open_client

MIN_FREE_GB = 1.0
PORTS = {
    addresses.LOCAL_CLICKHOUSE_PORT: "local ClickHouse",
    addresses.COMPOSE_GATEWAY_PORT: "gateway of make up",
    addresses.COMPOSE_UI_PORT: "UI of make up",
    addresses.COMPOSE_CLICKHOUSE_PORT: "ClickHouse of make up",
}


@dataclass(frozen=True)
class Examination:
    """What was found."""

    findings: tuple[Finding, ...]
    """One or more of each part, in the order in which a run needs them."""
    models: str = ""
    """A table of what is known of the models; empty if they are all of this machine."""


async def examine(
    *,
    models: Sequence[str] = (),
    env_file: StrPath | None = PROJECT_ENV,
    config: StrPath = PROJECT_CONFIG,
    data: StrPath = PROJECT_DATA,
) -> Examination:
    """Check every part, and of models those named (default: all that are configured)."""
    findings = [python(), packages(), *disk(Path(data))]
    try:
        settings = load_settings(env_file)
        loaded = load_config(config, settings)
        settings = loaded.settings
    except KitError as error:
        return Examination((*findings, Finding(TROUBLE, "Settings", str(error))))
    findings += [Finding(NOTE, "Settings", note) for note in settings.notes]
    checked, *services = await asyncio.gather(
        configured_models(loaded, models),
        gateway(settings, loaded),
        asyncio.to_thread(store, settings, data),
    )
    findings += [model.finding for model in checked]
    findings += [*services, *ports(settings), await asyncio.to_thread(docker)]
    return Examination(tuple(findings), model_table(loaded, checked))


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if is_supported():
        return Finding(OK, "Python", version)
    return Finding(TROUBLE, "Python", f"{version} is not supported; use {SUPPORTED}")


def packages() -> Finding:
    """The installed packages against requirements.txt or, without that file, the package's metadata."""
    requirements = list(_requirements())
    problems = []
    for requirement in requirements:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if problems:
        return Finding(TROUBLE, "Packages", f"{'; '.join(problems)}; type: {remedy()}")
    return Finding(OK, "Packages", f"{len(requirements)} packages, all as requirements.txt asks")


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
    for name, folder in (("data", data), ("results", Path(PROJECT_RESULTS))):
        existing = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
        free = shutil.disk_usage(existing).free / 1e9
        if not os.access(existing, os.W_OK) or not existing.is_dir():
            yield Finding(TROUBLE, "Disk", f"{name}/ cannot be written; change its permissions")
        elif free < MIN_FREE_GB:
            yield Finding(TROUBLE, "Disk", f"only {free:.1f} GB free for {name}/; free some space")
        elif name == "data":
            yield Finding(OK, "Disk", f"{free:.0f} GB free")


def store(settings: Settings, data: StrPath) -> Finding:
    """Connect, starting the local server if that is configured, and count. Blocks."""
    if settings.gateway_url and not settings.clickhouse_url:
        text = (
            "TENSORZERO_GATEWAY_URL is set, so set TENSORZERO_CLICKHOUSE_URL to the gateway's ClickHouse too"
        )
        return Finding(TROUBLE, "ClickHouse", text)
    where = f"{urlsplit(settings.clickhouse_url).hostname}" if settings.clickhouse_url else f"local, {data}/"
    try:
        with contextlib.closing(open_client(settings.clickhouse_url, data=data)) as client:
            # A store that no gateway has used yet has no tables.
            ((version, in_use),) = client.query(
                "SELECT version(), (SELECT count() FROM system.tables "
                "WHERE database = currentDatabase() AND name = 'JsonInference')"
            ).result_rows
            count = client.query("SELECT count() FROM JsonInference").result_rows[0][0] if in_use else 0
    except StoreError as error:
        return Finding(TROUBLE, "ClickHouse", settings.redact(str(error)))
    except Exception as error:
        # The driver raises its own and its HTTP library's errors alike.
        reason = settings.redact(" ".join(str(error).split())[:200])
        return Finding(TROUBLE, "ClickHouse", f"{where} does not answer; check that it is running: {reason}")
    return Finding(OK, "ClickHouse", f"{version} ({where}), {count:,} inferences")


def ports(settings: Settings) -> Iterator[Finding]:
    """Which of the kit's ports are in use; the local ClickHouse can take another one, Docker cannot."""
    for port, user in PORTS.items():
        if str(port) in settings.gateway_url + settings.clickhouse_url:
            continue
        with socket.socket() as probe:
            taken = probe.connect_ex((addresses.HOST, port)) == 0
        if taken and port == addresses.LOCAL_CLICKHOUSE_PORT:
            text = f"{port} is in use; if not by the local ClickHouse itself, it takes a free port instead"
            yield Finding(NOTE, "Ports", text)
        elif taken:
            yield Finding(NOTE, "Ports", f"{port} ({user}) is in use; stop its program before make up")


def docker() -> Finding:
    version = compose.compose_version()
    if version is None:
        return Finding(NOTE, "Compose", "no Docker; only make up, which brings the UI, needs it")
    text = compose.dotted(version)
    if version < compose.MIN_VERSION:
        text += f" is older than {compose.dotted(compose.MIN_VERSION)}; update Docker before make up"
        return Finding(NOTE, "Compose", text)
    return Finding(OK, "Compose", text)
