"""`make up` and `make down`: the services of docker-compose.yml and the variables that it interpolates.

Run as `python -m babyai_kit.cli.compose up` (or `down`).
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from babyai_kit.atomic_files import write_atomically
from babyai_kit.cli import process
from babyai_kit.cli.container_agents import PROVIDER_KEYS, write_agents
from babyai_kit.cli.local_service import (
    FORM_VARIABLE,
    LANGUAGE_MODEL,
    PLAYER,
    PROFILES,
    form_address,
    local_service,
)
from babyai_kit.configuration import addresses
from babyai_kit.configuration.env_file import env_text, read_env_file
from babyai_kit.configuration.gateway_toml import point_registered_at
from babyai_kit.configuration.models import OFFLINE_MODEL
from babyai_kit.configuration.prices import load_prices
from babyai_kit.configuration.project import PROJECT_CONFIG, PROJECT_ENV, StrPath, project_root
from babyai_kit.configuration.provider_toml import cost_toml
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import InputError, KitError

MIN_VERSION = (2, 23, 1)
"""The first Compose with `configs: content:`."""

ADDRESSES = {
    "UI": addresses.COMPOSE_UI,
    "Gateway": addresses.COMPOSE_GATEWAY,
    "ClickHouse": addresses.COMPOSE_CLICKHOUSE,
}


def environment(settings: Settings, config: StrPath = PROJECT_CONFIG) -> dict[str, str]:
    """The variables that docker-compose.yml needs for the model in `settings`; they override .env."""
    offline = not settings.openai_base_url
    model = OFFLINE_MODEL if offline and not settings.model_named else settings.model
    service = local_service(settings)
    variables = {
        "AGENT_MODEL": model,
        "OPENAI_BASE_URL": addresses.from_container(settings.openai_base_url or (service or PLAYER).address),
        "AGENT_TIMEOUT_MS": str(settings.timeout_ms),
        **{key: settings.credentials[key] for key in PROVIDER_KEYS if key in settings.credentials},
        "AGENT_COST": cost_toml(load_prices(config).price_of(model, base_url=settings.openai_base_url)),
        FORM_VARIABLE: "",  # what `up` may set, a shell may not
    }
    if service:
        variables["COMPOSE_PROFILES"] = service.profile
    return variables


def compose_version() -> tuple[int, ...] | None:
    """Version of `docker compose`; None without Docker or its compose plugin. Blocks."""
    if not shutil.which("docker"):
        return None
    try:
        process = subprocess.run(
            ["docker", "compose", "version", "--short"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", process.stdout)
    return tuple(map(int, match.groups())) if match and process.returncode == 0 else None


def dotted(version: tuple[int, ...]) -> str:
    """`2.23.1`."""
    return ".".join(map(str, version))


def ensure_password(env_file: Path) -> bool:
    """Write a random CLICKHOUSE_PASSWORD to `env_file` if none is set; True if one was written.

    Raises InputError for a password that a URL cannot hold unescaped.
    """
    password = os.environ.get("CLICKHOUSE_PASSWORD") or read_env_file(env_file).get("CLICKHOUSE_PASSWORD")
    if password:
        if not re.fullmatch(r"[A-Za-z0-9._~-]+", password):
            raise InputError(
                "CLICKHOUSE_PASSWORD may contain only letters, digits, '.', '_', '~', '-'; change it in .env"
            )
        return False
    text = env_text(env_file)
    text = re.sub(r"(?m)^CLICKHOUSE_PASSWORD=[ \t]*\n?", "", text)
    if text and not text.endswith("\n"):
        text += "\n"
    # Keys are in this file: it must not be lost halfway, nor become readable to others.
    mode = stat.S_IMODE(env_file.stat().st_mode) if env_file.exists() else 0o600
    content = f"{text}CLICKHOUSE_PASSWORD={secrets.token_urlsafe(24)}\n"
    write_atomically(env_file.resolve(), content, mode=mode)
    return True


def up(env_file: StrPath = PROJECT_ENV) -> None:
    """Start the services, wait until all are healthy, and print their addresses."""
    _check_compose()
    env_file = Path(env_file)
    settings = load_settings(env_file)
    for note in settings.notes:
        print(f"Note:       {note}")
    if ensure_password(env_file):
        print(f"A random CLICKHOUSE_PASSWORD was written to {env_file}.")
    variables = environment(settings)
    if settings.openai_base_url and variables["OPENAI_BASE_URL"] != settings.openai_base_url:
        print(
            "The containers reach the model server on this machine as host.docker.internal; on Linux it must "
            "listen on more than 127.0.0.1 for that (Ollama: OLLAMA_HOST=0.0.0.0)."
        )
    config = load_config(
        PROJECT_CONFIG, settings
    )  # an error in it is clearer than a gateway that does not start
    point_registered_at(Path(PROJECT_CONFIG), settings, base_url=addresses.COMPOSE_ADAPTER)
    for line in write_agents(config):
        print(f"Note:       {line}")
    variables[FORM_VARIABLE], note = form_address(config)
    if note:
        print(f"Note:       {note}.")
    _docker(["up", "--detach", "--wait"], variables)
    for name, address in ADDRESSES.items():
        print(f"{name + ':':<12}{address}")
    profile = variables.get("COMPOSE_PROFILES")
    if profile == LANGUAGE_MODEL.profile:
        print("Model:      a small language model, served on this machine")
    elif profile:
        print("Model:      the offline player, which is NO language model")
    if settings.gateway_url != ADDRESSES["Gateway"]:
        print(f"To use them, add to {env_file}: TENSORZERO_GATEWAY_URL={ADDRESSES['Gateway']}")


def down() -> None:
    """Stop and remove the services; the data stay in their volume."""
    _check_compose()
    # The file requires a password even to stop; any will do.
    profiles = [argument for profile in PROFILES for argument in ("--profile", profile)]
    _docker([*profiles, "down"], {"CLICKHOUSE_PASSWORD": "unused"})


def _check_compose() -> None:
    """Raises InputError unless Docker has a recent enough Compose."""
    version = compose_version()
    if version is None:
        raise InputError("docker compose does not answer; install Docker, or work without it: make run")
    if version < MIN_VERSION:
        raise InputError(
            f"docker compose is version {dotted(version)}, but {dotted(MIN_VERSION)} is needed; update Docker"
        )


def _docker(arguments: list[str], variables: dict[str, str]) -> None:
    process = subprocess.run(
        ["docker", "compose", *arguments], env=os.environ | variables, cwd=project_root()
    )
    if process.returncode:
        raise KitError("docker compose failed; see its output above, and `docker compose logs`")


def main(arguments: list[str]) -> int:
    try:
        if arguments == ["up"]:
            up()
        elif arguments == ["down"]:
            down()
        else:
            raise InputError("expected up or down; use: python -m babyai_kit.cli.compose up")
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    process.run(lambda: main(sys.argv[1:]))
