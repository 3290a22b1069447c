"""What the user configured: `.env` and the environment, read once, checked, and never printed whole.

The process environment is read, never changed. Secrets stay in fields without a repr.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from urllib.parse import quote, urlsplit

from babyai_kit.configuration import addresses
from babyai_kit.configuration.env_file import read_env_file
from babyai_kit.configuration.models import DEFAULT_MODEL, OFFLINE_MODEL, is_free
from babyai_kit.configuration.project import PROJECT_ENV, StrPath
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.secrets import MIN_LENGTH, is_credential, is_secret
from babyai_kit.configuration.urls import base_url, checked_url, url_secrets
from babyai_kit.errors import ConfigError

TIMEOUT_MS = 60_000
MAX_TIMEOUT_MS = 86_400_000
"""A day; no answer takes longer."""
MAX_THREADS = 64

EXAMPLES = {
    "OPENAI_BASE_URL": "http://localhost:8000/v1",
    "TENSORZERO_GATEWAY_URL": addresses.COMPOSE_GATEWAY,
    "TENSORZERO_CLICKHOUSE_URL": "http://user:password@127.0.0.1:8123/tensorzero",
    "TENSORZERO_UI_URL": addresses.COMPOSE_UI,
}
OTHER_NAMES = {
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_API_BASE_URL": "OPENAI_BASE_URL",
    "OPENAI_API_HOST": "OPENAI_BASE_URL",
    "OPENAI_API_URL": "OPENAI_BASE_URL",
    "OPENAI_BASE": "OPENAI_BASE_URL",
    "OPENAI_ENDPOINT": "OPENAI_BASE_URL",
    "OPENAI_HOST": "OPENAI_BASE_URL",
    "OPENAI_URL": "OPENAI_BASE_URL",
    "OPENAI_KEY": "OPENAI_API_KEY",
    "OPENAI_TOKEN": "OPENAI_API_KEY",
    "OPENAI_DEFAULT_MODEL": "AGENT_MODEL",
    "OPENAI_MODEL": "AGENT_MODEL",
    "OPENAI_MODEL_NAME": "AGENT_MODEL",
    "AGENT_TIMEOUT": "AGENT_TIMEOUT_MS",
    "OPENAI_MODELS": "AGENT_MODELS",
    "TENSORZERO_GATEWAY": "TENSORZERO_GATEWAY_URL",
    "TENSORZERO_KEY": "TENSORZERO_API_KEY",
    "TENSORZERO_GATEWAY_API_KEY": "TENSORZERO_API_KEY",
    "CLICKHOUSE_URL": "TENSORZERO_CLICKHOUSE_URL",
}
"""Names that other tools read, and the settings that a user of those may mean."""

FIRST_TIMEOUTS = 5
"""How many times the usual timeout the first answer may take."""


@dataclass(frozen=True)
class Settings:
    """The settings in force. Empty strings count as unset, as `NAME=` in a `.env` file means."""

    model: str = OFFLINE_MODEL
    """Name that the model server knows (`AGENT_MODEL`); `offline-player` with neither key nor URL."""
    model_named: bool = False
    """True if the user named the model; else its server is asked, through the gateway, what it is called."""
    models: tuple[str, ...] = ()
    """The models of a plan that names none (`AGENT_MODELS`, or an AGENT_MODEL named by its provider); empty:
    `model` alone."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Keys of other providers by variable, such as `ANTHROPIC_API_KEY`."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """All that `.env` and the environment hold: models may name variables of their own."""
    own_secrets: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """Keys and passwords of the user's own models, whatever their variables are called."""
    openai_base_url: str = ""
    """Base URL of an OpenAI-compatible server, whose path ends in a slash; empty for the offline player.

    It may have a query, so paths are appended by `urls.endpoint`, not by `+`.
    """
    openai_api_key: str = field(default="", repr=False)
    gateway_url: str = ""
    """HTTP gateway; empty means the gateway embedded in this process."""
    gateway_api_key: str = field(default="", repr=False)
    """Key that the HTTP gateway itself asks for (`TENSORZERO_API_KEY`); empty for one that asks for none."""
    clickhouse_url: str = field(default="", repr=False)
    """ClickHouse with credentials; empty means the local server over chDB."""
    ui_url: str = addresses.COMPOSE_UI
    """TensorZero's UI (`TENSORZERO_UI_URL`), which the kit points to and never calls."""
    timeout_ms: int = TIMEOUT_MS
    """Longest wait for one answer of the model server (`AGENT_TIMEOUT_MS`), milliseconds."""
    requests_per_minute: float | None = None
    """Most calls that a run may start in a minute (`AGENT_REQUESTS_PER_MINUTE`); None: any number."""
    local_model_threads: int | None = 1
    """Threads in which the language model of this machine computes (`LOCAL_MODEL_THREADS`); None (`auto`): as
    many as are fastest, measured when it starts."""
    notes: tuple[str, ...] = ()
    """For the user, a line each: what was ignored or understood otherwise, and what to set."""

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
        keys = {self.openai_api_key, self.gateway_api_key}
        keys |= {value for name, value in self.credentials.items() if is_secret(name, value)}
        keys |= {secret for secret in self.own_secrets if len(secret) >= MIN_LENGTH}
        found = keys | {quote(key, safe="") for key in keys}
        for url in (self.clickhouse_url, self.openai_base_url, self.gateway_url, self.ui_url):
            found |= url_secrets(url)
        # The longest first: another may be a part of it.
        return tuple(sorted(filter(None, found), key=len, reverse=True))

    def naming(self, variables: Iterable[str], *, secrets: Iterable[str]) -> Settings:
        """These settings, whose credentials have the `variables` that the user's models name."""
        named = {name: self.variables[name] for name in variables if name in self.variables}
        return replace(self, credentials={**self.credentials, **named}, own_secrets=frozenset(secrets))

    def without(self, own_models: Collection[str]) -> Settings:
        """These settings, of whose `models` none of `own_models` counts as one of their own server."""
        if not self.models or self.model not in own_models or self.gateway_url:
            return self
        bare = _first_bare(tuple(name for name in self.models if name not in own_models))
        return replace(self, model=OFFLINE_MODEL if self.offline else bare or DEFAULT_MODEL)

    def redact(self, text: str) -> str:
        """`text` with every secret replaced by `***`."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
        return self.redact(f"Settings({', '.join(shown)})")


def load_settings(
    env_file: StrPath | None = PROJECT_ENV, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings from `env_file` (if it exists), with exported variables taking precedence.

    A gateway over HTTP whose ClickHouse is not named is taken for docker-compose.yml's if
    `CLICKHOUSE_PASSWORD` is there. Raises ConfigError, which shows no value, for a file that is not UTF-8, a
    URL that is not http(s) or cannot be parsed, characters that a key or name cannot have, and a timeout that
    is not a whole number of milliseconds up to MAX_TIMEOUT_MS.
    """
    values = read_env_file(env_file)
    values |= {k: v for k, v in (os.environ if environ is None else environ).items() if v}
    values = {name: value.strip() for name, value in values.items() if value.strip()}

    def url(name: str) -> str:
        return checked_url(name, values.get(name, ""), EXAMPLES[name])

    key, named, several = _key("OPENAI_API_KEY", values), _model(values), _models(values)
    base, endpoint = base_url(openai) if (openai := url("OPENAI_BASE_URL")) else ("", "")
    if key and not base:
        base = addresses.OPENAI
    gateway, ui = url("TENSORZERO_GATEWAY_URL"), url("TENSORZERO_UI_URL") or addresses.COMPOSE_UI
    for name, address in (("TENSORZERO_GATEWAY_URL", gateway), ("TENSORZERO_UI_URL", ui)):
        if "?" in address or "#" in address:
            raise ConfigError(f"{name} must not have a query; end it with the host or a path")
    offline = not base and not gateway
    if named.partition("::")[0] in PROVIDERS and "::" in named and not gateway and not several:
        named, several = "", (named,)
    clickhouse, password = url("TENSORZERO_CLICKHOUSE_URL"), values.get("CLICKHOUSE_PASSWORD")
    if gateway and password and not clickhouse:
        clickhouse = _compose_clickhouse(password)
    local_model = named if is_free(named) else OFFLINE_MODEL
    settings = Settings(
        model=local_model if offline else named or _first_bare(several) or DEFAULT_MODEL,
        model_named=offline or bool(named or several),
        models=several,
        credentials={name: value for name, value in values.items() if is_credential(name)},
        variables=values,
        openai_base_url=base,
        openai_api_key=key,
        gateway_url=gateway.rstrip("/"),
        gateway_api_key=_key("TENSORZERO_API_KEY", values),
        clickhouse_url=clickhouse,
        ui_url=ui.rstrip("/"),
        timeout_ms=_timeout_ms(values),
        requests_per_minute=_rate(values.get("AGENT_REQUESTS_PER_MINUTE", "")),
        local_model_threads=threads_of(values.get("LOCAL_MODEL_THREADS", "1"), "LOCAL_MODEL_THREADS"),
    )
    notes = [*_endpoint_notes(settings.redact(base), endpoint), *_ignored(values, settings)]
    return replace(settings, notes=tuple(notes))


def _key(name: str, values: Mapping[str, str]) -> str:
    key = values.get(name, "")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"{name} has a character that no key has, such as a curly quote; copy the key again"
        )
    return key


def _model(values: Mapping[str, str]) -> str:
    model = values.get("AGENT_MODEL", "")
    if not model.isprintable():
        raise ConfigError("AGENT_MODEL has a character that cannot be seen; type the model's name again")
    return model


def _models(values: Mapping[str, str]) -> tuple[str, ...]:
    names = [name.strip() for name in values.get("AGENT_MODELS", "").split(",") if name.strip()]
    if not all(name.isprintable() for name in names):
        raise ConfigError("AGENT_MODELS has a character that cannot be seen; type the models' names again")
    if len(set(names)) < len(names):
        raise ConfigError("AGENT_MODELS names a model twice; name each once")
    return tuple(names)


def _first_bare(models: tuple[str, ...]) -> str:
    """The first that may be one of `OPENAI_BASE_URL`."""
    return next((m for m in models if "::" not in m and not is_free(m)), "")


def _timeout_ms(values: Mapping[str, str]) -> int:
    text = values.get("AGENT_TIMEOUT_MS", str(TIMEOUT_MS))
    digits = text.lstrip("0") if text.isdecimal() else ""
    # Of thousands of digits Python makes no number.
    if not digits or len(digits) > len(str(MAX_TIMEOUT_MS)) or int(digits) > MAX_TIMEOUT_MS:
        raise ConfigError(
            f"AGENT_TIMEOUT_MS is not valid; give whole milliseconds from 1 to {MAX_TIMEOUT_MS}, like "
            f"{TIMEOUT_MS}"
        )
    return int(digits)


def _endpoint_notes(base: str, endpoint: str) -> Iterator[str]:
    if endpoint:
        yield f"OPENAI_BASE_URL ends in {endpoint}, which is left out; set OPENAI_BASE_URL={base.rstrip('/')}"


def _ignored(values: Mapping[str, str], settings: Settings) -> Iterator[str]:
    """A line for each value that looks like a setting and has no effect."""
    for other, name in OTHER_NAMES.items():
        if other in values and name not in values:
            yield f"{other} is set and has no effect here; set {name} instead"
    named = values.get("AGENT_MODEL", "")
    if settings.offline and named not in ("", settings.model, *settings.models):
        yield (
            f"AGENT_MODEL={named} has no effect without a model server; set OPENAI_BASE_URL to the server's "
            "address, OPENAI_API_KEY for OpenAI, or AGENT_MODELS for a model of config/models.toml"
        )


def _rate(text: str) -> float | None:
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = 0.0
    if rate is not None and not 0 < rate < math.inf:
        raise ConfigError("AGENT_REQUESTS_PER_MINUTE is not valid; give a positive number, like 60")
    return rate


def threads_of(text: str, name: str) -> int | None:
    """What the setting or flag `name` says: a number of threads, or None for `auto`. Raises ConfigError."""
    if text.lower() == "auto":
        return None
    if not (text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MAX_THREADS):
        raise ConfigError(f"{name} is not valid; give a number from 1 to {MAX_THREADS}, or auto")
    return int(text)


def _compose_clickhouse(password: str) -> str:
    """Where docker-compose.yml publishes its ClickHouse, with credentials."""
    parts = urlsplit(addresses.COMPOSE_CLICKHOUSE)
    return (
        f"{parts.scheme}://{addresses.CLICKHOUSE_USER}:{quote(password, safe='')}@{parts.netloc}/tensorzero"
    )
