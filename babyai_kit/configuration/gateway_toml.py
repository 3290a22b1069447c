"""The TOML that the kit writes for a gateway: the model behind the alias `agent`, and a copy of `config/`.

Variants that fine-tuning registers have a TOML file each in `config/finetuned/`, beside the hand-written
files and matched by the same glob, so that the embedded gateway and the gateway image serve them alike. Git
ignores that folder, since a fine-tuned model belongs to one account or machine. The embedded gateway's copy
of such a file points at the server of the settings.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from babyai_kit.atomic_files import write_atomically
from babyai_kit.configuration.agents_toml import Front, agents_toml
from babyai_kit.configuration.prices import Price
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.provider_toml import NO_TIMEOUT_MS, api_key_location, cost_toml, timeouts
from babyai_kit.configuration.served_models import OWN_MODELS
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import (
    AGENTS_FILE,
    FINETUNED_FOLDER,
    FUNCTION,
    MODEL_ALIAS,
    Agent,
    Config,
)
from babyai_kit.errors import ConfigError

_GLOB = re.compile(r"[*?\[\]{}\\\udc80-\udcff]")
"""What has a meaning in the gateway's globs, and what its paths cannot hold."""


def model_toml(
    settings: Settings, price: Price | None, *, base_url: str, timeout_ms: int = NO_TIMEOUT_MS
) -> str:
    """TOML of the model behind the alias `agent`, asked at `base_url` (the adapter or the offline player).

    Without a key no Authorization header is sent.
    """
    provider = tomlkit.table()
    provider["type"] = "openai"
    provider["model_name"] = settings.model
    provider["api_base"] = base_url
    provider["api_key_location"] = api_key_location(settings)
    provider["timeouts"] = timeouts(timeout_ms)
    provider.update(tomlkit.parse(cost_toml(price)))
    model = {"routing": ["primary"], "providers": {"primary": provider}}
    # The gateway's own limit, 15 minutes, is below what models may be given.
    gateway = {"global_outbound_http_timeout_ms": NO_TIMEOUT_MS}
    return tomlkit.dumps({"gateway": gateway, "models": {MODEL_ALIAS: model}})


@contextlib.contextmanager
def snapshot_folder() -> Iterator[Path]:
    """A temporary folder for `write_snapshot`, gone after the block.

    Below TMPDIR, unless that has characters of a pattern: the gateway would search all that is beside it.
    Raises ConfigError if there is none.
    """
    try:
        parents = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
        plain = (p for p in parents if not _GLOB.search(p) and os.access(p, os.W_OK | os.X_OK))
        folder = tempfile.TemporaryDirectory(prefix="babyai-config-", dir=next(plain, parents[0]))
    except OSError as error:
        raise ConfigError(
            f"no folder for temporary files can be written ({error.strerror}); set TMPDIR to one that can"
        ) from None
    with folder as name:
        yield Path(name)


def write_snapshot(
    config: Config,
    settings: Settings,
    folder: StrPath,
    *,
    base_url: str,
    registered_url: str = "",
    timeout_ms: int = NO_TIMEOUT_MS,
    agents: Sequence[Agent] = (),
    fronts: Mapping[str, Front] | None = None,
) -> str:
    """Copy the configuration into `folder` beside the model's TOML; return the glob for the gateway.

    `base_url`, `timeout_ms`: where every model of the settings' server is asked, and for how long at most.
    `registered_url`: those that fine-tuning registered, if elsewhere.
    `agents`, `fronts`: see `agents_toml`. Variants whose own model lacks its provider's key are left out,
    since the gateway would refuse the whole configuration.

    A copy, because the gateway's glob takes a single pattern and does not follow links.
    """
    folder = Path(folder)
    copy = folder / "config"
    shutil.copytree(config.path, copy)
    for aside in (OWN_MODELS, AGENTS_FILE):
        (copy / aside).unlink(missing_ok=True)
    _leave_out(copy, [name for name, v in config.variants.items() if v.own and v.own.missing])
    # Private key: without it the embedded gateway refuses to batch its writes.
    embedded = "[gateway.observability.batch_writes]\n__force_allow_embedded_batch_writes = true\n"
    (folder / "embedded.toml").write_text(embedded, encoding="utf-8")
    price = config.prices.price_of(settings.model, base_url=settings.openai_base_url)
    model = model_toml(settings, price, base_url=base_url, timeout_ms=timeout_ms)
    (folder / "model.toml").write_text(model, encoding="utf-8")
    point_registered_at(copy, settings, base_url=registered_url or base_url, timeout_ms=timeout_ms)
    file = folder / AGENTS_FILE
    text = agents_toml(config, agents, file, folder=copy, fronts=fronts or {})
    file.write_text(text, encoding="utf-8")
    return f"{_GLOB.sub(_escaped, str(folder))}/**/*.toml"


def _leave_out(config: Path, variants: Collection[str]) -> None:
    """Take `variants`, and the models that only they use, out of a copy of the configuration."""
    if not variants:
        return
    for file in sorted(config.rglob("*.toml")):
        document: Any = tomlkit.parse(file.read_text(encoding="utf-8"))
        act = document.get("functions", {}).get(FUNCTION, {})
        of_file = act.get("variants", {})
        models = {of_file.pop(name)["model"] for name in variants if name in of_file}
        for model in models - {variant.get("model") for variant in of_file.values()}:
            document.get("models", {}).pop(model, None)
        experimentation = act.get("experimentation", {})
        if "candidate_variants" in experimentation:
            left = [name for name in experimentation["candidate_variants"] if name not in variants]
            experimentation["candidate_variants"] = left
        file.write_text(tomlkit.dumps(document), encoding="utf-8")


def _escaped(found: re.Match[str]) -> str:
    return "\\\\" if found[0] == "\\" else f"[{found[0]}]"


def point_registered_at(
    config: StrPath, settings: Settings, *, base_url: str, timeout_ms: int = NO_TIMEOUT_MS
) -> None:
    """Let the models registered in the folder `config` be asked as the settings' model is: settings apply to
    every variant, also to one that was registered under others."""
    for file in sorted((Path(config) / FINETUNED_FOLDER).glob("*.toml")):
        before = file.read_text(encoding="utf-8")
        document: Any = tomlkit.parse(before)
        for model in document.get("models", {}).values():
            for provider in model.get("providers", {}).values():
                if provider.get("type") == "openai":
                    provider["api_base"] = base_url
                    provider["api_key_location"] = api_key_location(settings)
                    provider["timeouts"] = timeouts(timeout_ms)
        if (text := tomlkit.dumps(document)) != before:
            write_atomically(file, text)
