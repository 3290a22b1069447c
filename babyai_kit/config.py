"""The TensorZero configuration seen from Python: variants, their digests, prices, the model's TOML.

Knows the files under `config/`; talks to no gateway. The gateway is always built from a copy made
here, so that what was digested is what is served.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from babyai_kit.errors import ConfigError
from babyai_kit.settings import Settings

FUNCTION = "act"
MODEL_ALIAS = "agent"


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    training: float | None = None
    """Of a token seen once in fine-tuning; None where the model cannot be fine-tuned or nobody said."""


@dataclass(frozen=True)
class Variant:
    """One way of prompting: its model and a digest of everything that shapes its prompt and answer."""

    name: str
    model: str
    """The name the model server knows, not the alias."""
    digest: str
    """12 hex digits of SHA-256 over the variant's settings, templates and the function's schemas."""
    templates: dict[str, str]
    """Template source by role (`system`, `user`)."""

    @property
    def asks_reasoning(self) -> bool:
        """True if the prompt asks for `thinking` beside the action."""
        return "thinking" in self.templates.get("system", "")


@dataclass(frozen=True)
class Config:
    """The function `act` as configured on disk, for the model of the settings."""

    path: Path
    variants: dict[str, Variant]
    price: Price | None
    """Price of the model behind the alias `agent`, or None where `prices.json` has none."""


def load_config(path: str | Path, settings: Settings) -> Config:
    """Read `path` (a directory of TOML files as the gateway globs them) and digest every variant.

    Raises ConfigError for TOML that does not parse, a missing template or schema, or no function `act`.
    """
    path = Path(path)
    files = sorted(path.rglob("*.toml"))
    if not files:
        raise ConfigError(f"no TOML file under {path}; run from the project's top level or name the folder")
    function: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    models: dict[str, Any] = {}
    for file in files:
        document = _parse(file)
        models |= document.get("models", {})
        found = document.get("functions", {}).get(FUNCTION, {})
        for name in found.get("variants", {}):
            origin[name] = file.parent
        function = _merge(function, found)
        if "output_schema" in found:
            origin[""] = file.parent
    if not function.get("variants"):
        raise ConfigError(f"{path} defines no variant of the function '{FUNCTION}'; restore config/")
    root = origin.get("", path)
    schemas = {"output": _read(root / function.get("output_schema", ""))}
    for role, schema in function.get("schemas", {}).items():
        schemas[role] = _read(root / schema["path"])
    variants = {
        name: _variant(name, table, schemas, origin[name], models, settings)
        for name, table in function["variants"].items()
    }
    return Config(path=path, variants=variants, price=prices(path).get(settings.model))


def _variant(
    name: str,
    table: dict[str, Any],
    schemas: dict[str, str],
    folder: Path,
    models: dict[str, Any],
    settings: Settings,
) -> Variant:
    templates = {
        role: _read(folder / template["path"]) for role, template in table.get("templates", {}).items()
    }
    alias = table.get("model", MODEL_ALIAS)
    digested = {
        "variant": {k: v for k, v in table.items() if k not in ("templates", "model", "weight")},
        "templates": templates,
        "schemas": schemas,
    }
    digest = hashlib.sha256(json.dumps(digested, sort_keys=True).encode()).hexdigest()[:12]
    model = settings.model if alias == MODEL_ALIAS else _model_name(alias, models)
    return Variant(name=name, model=model, digest=digest, templates=templates)


def _model_name(alias: str, models: dict[str, Any]) -> str:
    table = models.get(alias)
    if table is None:
        return alias.split("::")[-1]
    return str(table["providers"][table["routing"][0]].get("model_name", alias))


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Tables of several files, joined as the gateway joins them (it refuses duplicate keys itself)."""
    merged = dict(old)
    for key, value in new.items():
        if isinstance(merged.get(key), dict) and isinstance(value, dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML ({error}); mend it or restore it") from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(
            f"{file}, which the configuration names, cannot be read ({reason}); restore it"
        ) from None


def prices(path: str | Path) -> dict[str, Price]:
    """Prices by model name from `path`/prices.json (US dollars per million tokens)."""
    return {name: Price(**price) for name, price in json.loads(_read(Path(path) / "prices.json")).items()}


def model_toml(settings: Settings, price: Price | None, *, base_url: str | None = None) -> str:
    """TOML of the model behind the alias `agent`.

    `base_url` overrides the settings' (the offline player's address). Without a key no Authorization
    header is sent; the key itself is never written, only the name of its environment variable.
    """
    provider = tomlkit.table()
    provider["type"] = "openai"
    provider["model_name"] = settings.model
    provider["api_base"] = base_url or settings.openai_base_url
    provider["api_key_location"] = "env::OPENAI_API_KEY" if settings.openai_api_key else "none"
    provider["timeouts"] = {"non_streaming": {"total_ms": settings.timeout_ms}}
    if price is not None:
        provider.update(tomlkit.parse(cost_toml(price)))
    model = {"routing": ["primary"], "providers": {"primary": provider}}
    return tomlkit.dumps({"models": {MODEL_ALIAS: model}})


def cost_toml(price: Price) -> str:
    """The provider's line of TOML that tells the gateway what tokens cost."""
    entries = (
        f'{{ pointer = "/usage/{tokens}_tokens", cost_per_million = {dollars}, required = true }}'
        for tokens, dollars in (("prompt", price.input), ("completion", price.output))
    )
    return f"cost = [{', '.join(entries)}]"


def snapshot(config: Config, model: str, folder: str | Path) -> str:
    """Copy the configuration into `folder` beside the `model` TOML; return the glob for the gateway.

    A copy, because the gateway's glob takes a single pattern and does not follow links.
    """
    folder = Path(folder)
    shutil.copytree(config.path, folder / "config")
    # Private key: without it the embedded gateway refuses to batch its writes.
    embedded = "[gateway.observability.batch_writes]\n__force_allow_embedded_batch_writes = true\n"
    (folder / "embedded.toml").write_text(embedded, encoding="utf-8")
    (folder / "model.toml").write_text(model, encoding="utf-8")
    return f"{folder}/**/*.toml"
