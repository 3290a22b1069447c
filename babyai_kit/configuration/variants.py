"""The variants of the function `act`, read from the TensorZero configuration, and the digest of each.

The gateway is always built from a copy of the files read here (see `gateway_toml`), so that what was digested
is what is served.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from babyai_kit.configuration.dialects import Dialect, strict_schema
from babyai_kit.configuration.prices import Prices, load_prices
from babyai_kit.configuration.settings import Settings
from babyai_kit.errors import ConfigError

FUNCTION = "act"
MODEL_ALIAS = "agent"
"""The model that follows the settings; it is not defined in `config/`."""


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
    prices: Prices = field(default_factory=Prices)
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of the answers that count as valid."""

    def strict_schema(self, variant: str) -> dict[str, Any]:
        """The JSON schema that an answer to `variant` is held to, where a server can do that."""
        return strict_schema(self.output_schema, reasoning=self.variants[variant].asks_reasoning)

    def asked_in(self, dialects: Mapping[str, Dialect]) -> Config:
        """The same, with the digests that variants have when models, by name, are asked in `dialects`."""
        variants = {
            name: dataclasses.replace(v, digest=_asked_in(v.digest, dialects.get(v.model, Dialect())))
            for name, v in self.variants.items()
        }
        return dataclasses.replace(self, variants=variants)


def load_config(path: str | Path, settings: Settings) -> Config:
    """Read `path` (a directory of TOML files as the gateway globs them) and digest every variant.

    Raises ConfigError for TOML that does not parse, a missing template or schema, or no function `act`.
    """
    path = Path(path)
    files = sorted(path.rglob("*.toml"))
    if not files:
        raise ConfigError(f"no TOML file under {path}; run from the project's top level or name the folder")
    function: dict[str, Any] = {}
    folders: dict[str, Path] = {}
    root = path
    models: dict[str, Any] = {}
    for file in files:
        document = _parse(file)
        models |= document.get("models", {})
        table = document.get("functions", {}).get(FUNCTION, {})
        folders |= dict.fromkeys(table.get("variants", {}), file.parent)
        function = _merge(function, table)
        if "output_schema" in table:
            root = file.parent
    if not function.get("variants"):
        raise ConfigError(f"{path} defines no variant of the function '{FUNCTION}'; restore config/")
    schemas = {"output": _read(root / function.get("output_schema", ""))}
    for role, schema in function.get("schemas", {}).items():
        schemas[role] = _read(root / schema["path"])
    variants = {
        name: _variant(name, table, schemas, folders[name], models, settings)
        for name, table in function["variants"].items()
    }
    try:
        output_schema = json.loads(schemas["output"])
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{root / function['output_schema']} is not valid JSON ({error}); fix it") from None
    return Config(path=path, variants=variants, prices=load_prices(path), output_schema=output_schema)


def _asked_in(digest: str, dialect: Dialect) -> str:
    """The digest of a variant under `dialect`: what a model is held to shapes its answers as a prompt does.

    JSON mode, which config/ names, leaves the digest as it is.
    """
    if dialect.answer_format == "json":
        return digest
    return hashlib.sha256(f"{digest} {dialect.answer_format}".encode()).hexdigest()[:12]


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
        raise ConfigError(f"{file} is not valid TOML ({error}); fix it or restore it") from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(
            f"{file}, which the configuration names, cannot be read ({reason}); restore it"
        ) from None
