"""BabyAI experiment kit: measure and improve LLM agents on BALROG's BabyAI-Text.

The public names; everything else may change without notice. They load on first use: the process that
holds the ClickHouse engine must not load the gateway, which is in the same package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babyai_kit.environment import ACTIONS, TASKS, make_env
    from babyai_kit.episodes.table import load_episodes
    from babyai_kit.experiment.experiment import run_experiment
    from babyai_kit.failures import load_failures
    from babyai_kit.gateway.connect import connect
    from babyai_kit.replay import load_replay
    from babyai_kit.report import write_report
    from babyai_kit.runs.run import Run
    from babyai_kit.stats import compare
    from babyai_kit.store.client import clickhouse_client
    from babyai_kit.viewer.notebook import view

__all__ = [
    "ACTIONS",
    "TASKS",
    "Run",
    "clickhouse_client",
    "compare",
    "connect",
    "load_episodes",
    "load_failures",
    "load_replay",
    "make_env",
    "run_experiment",
    "view",
    "write_report",
]

_MODULES = {
    "ACTIONS": "environment",
    "TASKS": "environment",
    "Run": "runs.run",
    "clickhouse_client": "store.client",
    "compare": "stats",
    "connect": "gateway.connect",
    "load_episodes": "episodes.table",
    "load_failures": "failures",
    "load_replay": "replay",
    "make_env": "environment",
    "run_experiment": "experiment.experiment",
    "view": "viewer.notebook",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'babyai_kit' has no attribute {name!r}")
    return getattr(import_module(f"babyai_kit.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
