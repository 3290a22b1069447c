"""`run.json`: what a run was asked for and made with, and whether a second command fits the first.

Knows the file's content; the journal writes it.
"""

from __future__ import annotations

import platform
import uuid
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config
from babyai_kit.errors import InputError
from babyai_kit.runs.plan import Plan, Sampling

PACKAGES = (
    "babyai-kit",
    "tensorzero",
    "chdb",
    "minigrid",
    "gymnasium",
    "numpy",
    "pandas",
    "matplotlib",
)


def make_manifest(
    before: dict[str, Any], plan: Plan, sampling: Sampling, config: Config, settings: Settings
) -> dict[str, Any]:
    """The content of `run.json` for this command, given the one that is there (or an empty dict).

    Raises InputError if sampling parameters differ from those the run began with: its episodes would
    not be comparable under one name.
    """
    for name, value in asdict(sampling).items():
        old = before.get("sampling", {}).get(name, value)
        if old != value:
            raise InputError(
                f"run {plan.run!r} was begun with {name}={old}, not {value}; keep that or choose another name"
            )
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    plans = before.get("plans", [])
    return {
        "run": plan.run,
        # Distinguishes runs of one name in a store that outlives their folders.
        "run_id": before.get("run_id") or str(uuid.uuid4()),
        "merged": before.get("merged", []),
        "created": before.get("created", now),
        "updated": now,
        "plan": plan.as_json(),
        "plans": plans if plan.as_json() in plans else [*plans, plan.as_json()],
        "sampling": asdict(sampling),
        "model": settings.model,
        "models": {
            **before.get("models", {}),
            **{v: config.variants[v].model for v in plan.variants},
        },
        "digests": {
            **before.get("digests", {}),
            **{v: config.variants[v].digest for v in plan.variants},
        },
        "gateway": settings.gateway_url or "embedded",
        "workflow_runs": before.get("workflow_runs", {}),
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}},
    }


def run_ids(manifest: dict[str, Any]) -> list[str]:
    """The ids under which the run's rows are found in ClickHouse; several after a merge of shards."""
    return [manifest["run_id"], *manifest.get("merged", [])]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except Exception:
        return None
