"""`register_variant`: a fine-tuned model becomes a variant that the gateway serves.

Each variant has one TOML file of its own in the configuration's folder of fine-tuned variants; no other file
is touched. Writing the same again changes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from babyai_kit.atomic_files import write_atomically
from babyai_kit.configuration import addresses
from babyai_kit.configuration.agents_toml import variant_table
from babyai_kit.configuration.gateway_toml import FINETUNED_FOLDER
from babyai_kit.configuration.prices import Price, load_prices
from babyai_kit.configuration.project import PROJECT_CONFIG, StrPath
from babyai_kit.configuration.provider_toml import api_key_location, cost_toml
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import FUNCTION, load_config
from babyai_kit.errors import InputError

VARIANT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}")
_SUFFIX = re.compile(r"_sft\d*$")


def register_variant(
    name: str,
    *,
    model: str | None = None,
    snippet: str | None = None,
    like: str | None = None,
    price: Price | None = None,
    config: StrPath = PROJECT_CONFIG,
    settings: Settings | None = None,
) -> Path:
    """Add the variant `name` of the function `act`, played by a fine-tuned model; returns its file.

    Give the `model`'s name (such as `ft:gpt-4o-mini-2024-07-18:org::id`), or the `snippet` of TOML that
    TensorZero's UI shows when its job is done. `like`: the variant whose prompts it uses, which must be the
    one it was trained on; default: `name` without a final `_sft`, `_sft2` and so on. `price`: per million
    tokens; default: the price of `ft:BASE` or of the model, as for a run. The variant is served once the
    gateway starts again: at the next `connect()`, or after a restart of the gateway image.
    Raises InputError for a name that is not valid or belongs to another file, and for a snippet without
    exactly one model.
    """
    config = Path(config)
    settings = settings or load_settings()
    if not VARIANT_NAME.fullmatch(name):
        raise InputError(
            f"variant name {name!r} is not valid; use a letter, then up to 63 letters, digits, '_' or '-'"
        )
    if (model is None) == (snippet is None):
        raise InputError("give either the model's name or the UI's snippet, not both")
    file = config / FINETUNED_FOLDER / f"{name}.toml"
    known = load_config(config, settings).variants
    if name in known and not file.exists():
        raise InputError(f"variant {name!r} already exists in {config}; choose another name")
    like = like or _SUFFIX.sub("", name)
    if like not in known or like == name:
        raise InputError(
            f"it is unclear whose prompts {name!r} uses; set like to one of "
            f"{', '.join(sorted(set(known) - {name}))}"
        )
    provider = _own_provider(model, settings) if model is not None else _snippet_provider(snippet or "")
    model_name = str(provider["model_name"])
    if not _MODEL_NAME.fullmatch(model_name):
        raise InputError(f"model name {model_name[:80]!r} is not valid; take it from the finished job")
    if price is None:
        price = load_prices(config).price_of(
            model_name,
            provider=str(provider["type"]),
            base_url=str(provider.get("api_base", "")),
        )
    if "cost" not in provider:
        provider |= tomlkit.parse(cost_toml(price)).unwrap()
    provider.setdefault("timeouts", {"non_streaming": {"total_ms": settings.timeout_ms}})
    text = _document(name, provider, variant_table(like, config, file))
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_atomically(file, text)
    return file


def unregister_variant(name: str, *, config: StrPath = PROJECT_CONFIG) -> None:
    """Remove a variant that `register_variant` added. Raises InputError if there is none."""
    file = Path(config) / FINETUNED_FOLDER / f"{name}.toml"
    if not VARIANT_NAME.fullmatch(name) or not file.exists():
        raise InputError(f"variant {name!r} is not registered; those that are have a file in {file.parent}")
    file.unlink()


def _own_provider(model: str, settings: Settings) -> dict[str, Any]:
    """As the gateway image needs it; the embedded gateway gets a copy with the present server's address."""
    provider: dict[str, Any] = {"type": "openai", "model_name": model}
    if settings.openai_base_url != addresses.OPENAI:
        provider["api_base"] = addresses.from_container(settings.openai_base_url or addresses.COMPOSE_PLAYER)
    provider["api_key_location"] = api_key_location(settings)
    return provider


def _snippet_provider(snippet: str) -> dict[str, Any]:
    try:
        models = tomlkit.parse(snippet).unwrap().get("models", {})
    except TOMLKitError as error:
        raise InputError(f"the snippet is not TOML ({error}); copy all of it from the UI") from None
    if not isinstance(models, dict):
        models = {}
    if len(models) != 1:
        raise InputError(f"the snippet has {len(models)} models instead of one; copy all of it from the UI")
    (model,) = models.values()
    try:
        provider = dict(model["providers"][model["routing"][0]])
    except (KeyError, IndexError, TypeError, ValueError):
        provider = {}
    if not {"type", "model_name"} <= provider.keys():
        raise InputError("the snippet's model has no provider with a model_name; copy all of it from the UI")
    return provider


def _document(name: str, provider: dict[str, Any], variant: dict[str, Any]) -> str:
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by register_variant; delete the file to remove the variant."))
    document["models"] = {name: {"routing": ["finetuned"], "providers": {"finetuned": provider}}}
    document["functions"] = {FUNCTION: {"variants": {name: variant | {"model": name}}}}
    return tomlkit.dumps(document)
