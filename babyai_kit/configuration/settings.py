"""What the user configured: `.env` and the environment, read once, checked, and never printed whole.

The process environment is read, never changed. Secrets stay in fields without a repr.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from dotenv import dotenv_values

from babyai_kit.configuration import addresses
from babyai_kit.configuration.models import DEFAULT_MODEL, LEARNER_MODEL, OFFLINE_MODEL
from babyai_kit.errors import ConfigError

TIMEOUT_MS = 60_000

FIRST_TIMEOUTS = 5
"""How many times the usual timeout the first answer may take."""


@dataclass(frozen=True)
class Settings:
    """The settings in force. Empty strings count as unset, as `NAME=` in a `.env` file means."""

    model: str = OFFLINE_MODEL
    """Name that the model server knows (`AGENT_MODEL`); `offline-player` with neither key nor URL."""
    model_named: bool = False
    """True if the user named the model; else its server is asked, through the gateway, what it is called."""
    openai_base_url: str = ""
    """Base URL of an OpenAI-compatible server, ending in a slash; empty for the offline player."""
    openai_api_key: str = field(default="", repr=False)
    gateway_url: str = ""
    """HTTP gateway; empty means the gateway embedded in this process."""
    gateway_api_key: str = field(default="", repr=False)
    """Key that the HTTP gateway itself asks for (`TENSORZERO_API_KEY`); empty for one that asks for none."""
    clickhouse_url: str = field(default="", repr=False)
    """ClickHouse with credentials; empty means the local server over chDB."""
    timeout_ms: int = TIMEOUT_MS
    """Longest wait for one answer of the model server (`AGENT_TIMEOUT_MS`), milliseconds."""

    @property
    def timeout_s(self) -> float:
        """Longest wait for one answer of the model server, in seconds."""
        return self.timeout_ms / 1000

    @property
    def first_timeout_s(self) -> float:
        """Longest wait for a model's first answer: its server may load it, and begins anew if we leave."""
        return FIRST_TIMEOUTS * self.timeout_s

    @property
    def offline(self) -> bool:
        """True when the offline player, which is not an LLM, stands in for a model."""
        return not self.openai_base_url and not self.gateway_url

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must never reach a log, a journal, a tag or an error text."""
        urls = (self.clickhouse_url, self.openai_base_url, self.gateway_url)
        passwords = [urlsplit(url).password or "" for url in urls]
        return tuple(
            s for s in (self.openai_api_key, self.gateway_api_key, *passwords, *map(unquote, passwords)) if s
        )

    def redact(self, text: str) -> str:
        """`text` with every secret replaced by `***`."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def load_settings(env_file: str | Path | None = ".env", environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `env_file` (if it exists), with exported variables taking precedence.

    A gateway over HTTP whose ClickHouse is not named is taken for docker-compose.yml's if
    `CLICKHOUSE_PASSWORD` is there. Raises ConfigError for a URL that is not http(s) or a timeout that is not
    a whole number of milliseconds.
    """
    environ = os.environ if environ is None else environ
    values = {k: v for k, v in dotenv_values(env_file).items() if v} if env_file else {}
    values |= {k: v for k, v in environ.items() if v}

    def get(name: str) -> str:
        return (values.get(name) or "").strip()

    def url(name: str) -> str:
        value = get(name)
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ConfigError(f"{name} is not an http(s) URL; write it like http://localhost:8000/v1")
        return value

    key, base_url, gateway = (
        get("OPENAI_API_KEY"),
        url("OPENAI_BASE_URL"),
        url("TENSORZERO_GATEWAY_URL"),
    )
    if key and not base_url:
        base_url = addresses.OPENAI
    if base_url and not base_url.endswith("/"):
        base_url += "/"
    offline = not base_url and not gateway
    clickhouse, password = url("TENSORZERO_CLICKHOUSE_URL"), get("CLICKHOUSE_PASSWORD")
    if gateway and password and not clickhouse:
        clickhouse = _compose_clickhouse(password)
    timeout = get("AGENT_TIMEOUT_MS") or str(TIMEOUT_MS)
    if not timeout.isdecimal() or int(timeout) == 0:
        raise ConfigError(f"AGENT_TIMEOUT_MS {timeout!r} is not valid; give milliseconds, like {TIMEOUT_MS}")
    named = get("AGENT_MODEL")
    local_model = LEARNER_MODEL if named == LEARNER_MODEL else OFFLINE_MODEL
    return Settings(
        model=local_model if offline else named or DEFAULT_MODEL,
        model_named=offline or bool(named),
        openai_base_url=base_url,
        openai_api_key=key,
        gateway_url=gateway.rstrip("/"),
        gateway_api_key=_gateway_key(get("TENSORZERO_API_KEY")),
        clickhouse_url=clickhouse,
        timeout_ms=int(timeout),
    )


def _gateway_key(key: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            "TENSORZERO_API_KEY has a character that no key has, such as a curly quote; copy the key again"
        )
    return key


def _compose_clickhouse(password: str) -> str:
    """Where docker-compose.yml publishes its ClickHouse, with credentials."""
    parts = urlsplit(addresses.COMPOSE_CLICKHOUSE)
    return (
        f"{parts.scheme}://{addresses.CLICKHOUSE_USER}:{quote(password, safe='')}@{parts.netloc}/tensorzero"
    )
