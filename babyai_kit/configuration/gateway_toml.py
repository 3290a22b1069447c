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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomlkit

from babyai_kit.atomic_files import write_atomically
from babyai_kit.configuration.prices import FREE, Price
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.settings import FIRST_TIMEOUTS, MAX_TIMEOUT_MS, Settings
from babyai_kit.configuration.variants import MODEL_ALIAS, Config
from babyai_kit.errors import ConfigError

_GLOB = re.compile(r"[*?\[\]{}\\\udc80-\udcff]")
"""What has a meaning in the gateway's globs, and what its paths cannot hold."""

FINETUNED_FOLDER = "finetuned"

NO_TIMEOUT_MS = FIRST_TIMEOUTS * MAX_TIMEOUT_MS
"""For a gateway in front of the adapter, which gives an answer up in time."""


def api_key_location(settings: Settings) -> str:
    """Where a gateway finds the model server's key: the key itself is never written."""
    return "env::OPENAI_API_KEY" if settings.openai_api_key else "none"


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
    provider["timeouts"] = _timeouts(timeout_ms)
    provider.update(tomlkit.parse(cost_toml(price)))
    model = {"routing": ["primary"], "providers": {"primary": provider}}
    # The gateway's own limit, 15 minutes, is below what models may be given.
    gateway = {"global_outbound_http_timeout_ms": NO_TIMEOUT_MS}
    return tomlkit.dumps({"gateway": gateway, "models": {MODEL_ALIAS: model}})


def cost_toml(price: Price | None) -> str:
    """The provider's line of TOML that tells the gateway what tokens cost; empty where nothing is paid."""
    if price is None or price is FREE:
        return ""
    entries = (
        f'{{ pointer = "/usage/{tokens}_tokens", cost_per_million = {dollars}, required = true }}'
        for tokens, dollars in (("prompt", price.input), ("completion", price.output))
    )
    return f"cost = [{', '.join(entries)}]"


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
    timeout_ms: int = NO_TIMEOUT_MS,
) -> str:
    """Copy the configuration into `folder` beside the model's TOML; return the glob for the gateway.

    `base_url`, `timeout_ms`: where every model of the settings' server is asked, and for how long at most.

    A copy, because the gateway's glob takes a single pattern and does not follow links.
    """
    folder = Path(folder)
    shutil.copytree(config.path, folder / "config")
    # Private key: without it the embedded gateway refuses to batch its writes.
    embedded = "[gateway.observability.batch_writes]\n__force_allow_embedded_batch_writes = true\n"
    (folder / "embedded.toml").write_text(embedded, encoding="utf-8")
    price = config.prices.price_of(settings.model)
    model = model_toml(settings, price, base_url=base_url, timeout_ms=timeout_ms)
    (folder / "model.toml").write_text(model, encoding="utf-8")
    point_registered_at(folder / "config", settings, base_url=base_url, timeout_ms=timeout_ms)
    return f"{_GLOB.sub(_escaped, str(folder))}/**/*.toml"


def _escaped(found: re.Match[str]) -> str:
    return "\\\\" if found[0] == "\\" else f"[{found[0]}]"


def _timeouts(timeout_ms: int) -> dict[str, Any]:
    return {"non_streaming": {"total_ms": timeout_ms}}


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
                    provider["timeouts"] = _timeouts(timeout_ms)
        if (text := tomlkit.dumps(document)) != before:
            write_atomically(file, text)
