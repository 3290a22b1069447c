"""The project as the tests see it: its top level, a copy of its configuration, a user's working directory."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from babyai_kit.cli.container_agents import PROVIDER_KEYS

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ROOT / "tests" / "goldens" / "prompts"
"""The variants' prompts as the model must get them."""

_COPY = tempfile.TemporaryDirectory(prefix="babyai-tests-")
# Without the variants that a user of this checkout has registered.
CONFIG = Path(
    shutil.copytree(
        ROOT / "config",
        Path(_COPY.name) / "config",
        ignore=shutil.ignore_patterns("finetuned", "models.toml", "agents.toml"),
    )
)
SETTINGS = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "AGENT_MODEL",
    "AGENT_MODELS",
    "AGENT_TIMEOUT_MS",
    "AGENT_REQUESTS_PER_MINUTE",
    "TENSORZERO_GATEWAY_URL",
    "TENSORZERO_API_KEY",
    "TENSORZERO_CLICKHOUSE_URL",
    "TENSORZERO_UI_URL",
    "CLICKHOUSE_PASSWORD",
    *PROVIDER_KEYS,
)


def make_project(folder: Path, data: Path, *files: str) -> Path:
    """A working directory as a user has it: the package, a configuration of its own, the local ClickHouse
    under `data`, and `files` of the top level. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("babyai_kit", *files):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(CONFIG, folder / "config")
    (folder / "data").symlink_to(data)
    return folder
