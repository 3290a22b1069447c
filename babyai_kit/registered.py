"""`config/finetuned/`: a TOML file for each variant that fine-tuning brought forth.

Knows the form of these files and where their models are served; nothing of fine-tuning. They lie beside the
hand-written configuration, whose globs find them, so that the embedded gateway and the gateway image serve
them alike after a restart; git ignores them, since a fine-tuned model belongs to one account or machine.
A model registered here lives at the server that the settings name, as the model behind `agent` does: the
embedded gateway gets a copy with that server's present address and key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit

FOLDER = "finetuned"


def point_at(config: Path, base_url: str, api_key_location: str) -> None:
    """Let the registered models in this copy of the configuration be asked at `base_url`."""
    for file in sorted((config / FOLDER).glob("*.toml")):
        document = tomlkit.parse(file.read_text(encoding="utf-8"))
        for provider in _providers(document):
            if provider.get("type") == "openai":
                provider["api_base"] = base_url
                provider["api_key_location"] = api_key_location
        file.write_text(tomlkit.dumps(document), encoding="utf-8")


def _providers(document: Any) -> list[Any]:
    models = document.get("models", {})
    return [p for model in models.values() for p in model.get("providers", {}).values()]
