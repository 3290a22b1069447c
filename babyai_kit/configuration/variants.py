"""The variants of the function `act`, read from the TensorZero configuration, and the digest of each.

The gateway is always built from a copy of the files read here (see `gateway_toml`), so that what was digested
is what is served.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from babyai_kit.configuration.config import (
    AGENTS_FILE,
    CHAT_FUNCTION,
    CHAT_VARIANT,
    FINETUNED_FOLDER,
    FUNCTION,
    Agent,
    Config,
    Variant,
)
from babyai_kit.configuration.prices import load_prices
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.providers import needed_keys, secrets_of
from babyai_kit.configuration.served_models import (
    MODEL_ALIAS,
    OWN_MODELS,
    Model,
    defined_model,
    own_models,
    resolve,
)
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.toml_files import read_toml, tables, text
from babyai_kit.errors import ConfigError, InputError
from babyai_kit.hostile_text import one_line, parse_json

__all__ = [
    "AGENTS_FILE",
    "CHAT_FUNCTION",
    "CHAT_VARIANT",
    "FINETUNED_FOLDER",
    "FUNCTION",
    "MODEL_ALIAS",
    "Agent",
    "Config",
    "Variant",
    "load_config",
]


def load_config(path: StrPath, settings: Settings) -> Config:
    """Read `path` (a directory of TOML files as the gateway globs them) and digest every variant.

    Raises ConfigError for TOML that does not parse, a missing template or schema, or no function `act`.
    """
    path = Path(path)
    aside = path / OWN_MODELS, path / AGENTS_FILE
    files = [file for file in sorted(path.rglob("*.toml")) if file not in aside]
    if not files:
        raise ConfigError(
            f"no TOML file under {path}; run in the project, or export BABYAI_PROJECT=FOLDER with its folder"
        )
    function: dict[str, Any] = {}
    folders: dict[str, Path] = {}
    root = path
    models: dict[str, Model] = own_models(path, settings)
    own = dict(models)
    settings = settings.without(own)
    for file in files:
        document, place = read_toml(file), str(file)
        for name, definition in tables(document, "models", place).items():
            model = defined_model(name, definition, settings, f"{place}: models.{name}")
            if file.parent.name == FINETUNED_FOLDER and model.provider == "openai":
                # Asked as the settings' model is, with its key (see `gateway_toml.point_registered_at`).
                model = dataclasses.replace(model, base_url=settings.openai_base_url, missing=())
            models[name] = model
        act = tables(document, "functions", place).get(FUNCTION, {})
        place = f"{file}: functions.{FUNCTION}"
        _check(act, place)
        folders |= dict.fromkeys(act.get("variants", {}), file.parent)
        function = _merge(function, act)
        if "output_schema" in act:
            root = file.parent
    place = f"{path}: functions.{FUNCTION}"
    if not function.get("variants"):
        raise ConfigError(f"{path} defines no variant of the function '{FUNCTION}'; restore config/")
    schemas = {"output": _read(root / function.get("output_schema", ""))}
    for role, schema in function.get("schemas", {}).items():
        schemas[role] = _read(root / text(schema, "path", f"{place}.schemas.{role}"))
    variants = {
        name: _variant(name, variant, schemas, folders[name], models, own, settings)
        for name, variant in function["variants"].items()
    }
    output_schema = _schema(schemas["output"], root / function["output_schema"])
    providers = [p for model in models.values() for p in model.definition["providers"].values()]
    return Config(
        path=path,
        settings=settings.naming(
            {name for p in providers for name in needed_keys(p)},
            secrets={secret for p in providers for secret in secrets_of(p, settings.variables)},
        ),
        variants=variants,
        prices=load_prices(path),
        output_schema=output_schema,
        own_models=own,
    )


def _schema(content: str, file: Path) -> dict[str, Any]:
    try:
        schema = parse_json(content)
        if not isinstance(schema, dict) or not isinstance(schema.get("properties", {}), dict):
            raise ValueError("not an object with properties")
    except ValueError as error:
        raise ConfigError(f"{file} is not a valid JSON schema ({error}); fix it or restore it") from None
    return schema


def _variant(
    name: str,
    settled: dict[str, Any],
    schemas: dict[str, str],
    folder: Path,
    models: Mapping[str, Model],
    own_names: Collection[str],
    settings: Settings,
) -> Variant:
    place = f"{folder}: functions.{FUNCTION}.variants.{name}"
    templates = {
        role: _read(folder / text(template, "path", f"{place}.templates.{role}"))
        for role, template in settled.get("templates", {}).items()
    }
    alias = settled.get("model", MODEL_ALIAS)
    digested = {
        "variant": {k: v for k, v in settled.items() if k not in ("templates", "model", "weight")},
        "templates": templates,
        "schemas": schemas,
    }
    digest = hashlib.sha256(json.dumps(digested, sort_keys=True, default=str).encode()).hexdigest()[:12]
    if alias == MODEL_ALIAS:
        return Variant(name, settings.model, digest, templates)
    own = models.get(alias) or _named_directly(alias, settings)
    if own.name not in own_names:
        # Fine-tuned models are known by the name that their provider gave them.
        own = dataclasses.replace(own, name=own.served_name)
    return Variant(name, own.name, digest, templates, own)


def _named_directly(alias: str, settings: Settings) -> Model:
    """The model of a variant that names no model of the configuration."""
    try:
        return resolve(alias, {}, settings)
    except InputError:  # the gateway will say what is wrong with it
        return Model(alias, alias.split("::")[-1])


def _check(act: dict[str, Any], place: str) -> None:
    """Raises ConfigError for a table of the function that has another shape than this module reads."""
    text(act, "output_schema", place, "")
    for role, schema in tables(act, "schemas", place).items():
        text(schema, "path", f"{place}.schemas.{role}", "")
    for name, variant in tables(act, "variants", place).items():
        of_variant = f"{place}.variants.{name}"
        text(variant, "model", of_variant, MODEL_ALIAS)
        for role, template in tables(variant, "templates", of_variant).items():
            text(template, "path", f"{of_variant}.templates.{role}", "")


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Tables of several files, joined as the gateway joins them (it refuses duplicate keys itself)."""
    merged = dict(old)
    for key, value in new.items():
        if isinstance(merged.get(key), dict) and isinstance(value, dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(
            f"{one_line(str(file))}, which the configuration names, cannot be read ({reason}); restore it"
        ) from None
