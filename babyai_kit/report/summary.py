"""`summary.json`: a run in the form of BALROG's result files, to be laid beside its leaderboard.

Source of the form: `collect_and_summarize_results` of BALROG's package. Its `summary.json` holds a score per
environment, its `babyai_summary.json` one per task; ours has both for each agent of the run, and better
intervals beside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.environment import TASKS
from babyai_kit.environment.suites import suite_of
from babyai_kit.figures.agents import name_of, rows_by_agent, rows_of
from babyai_kit.report.standing import Standing
from babyai_kit.runs.manifest import Manifest
from babyai_kit.stats import cells, estimates, finished, groups

ENVIRONMENT = "babyai"
BALROG_LEVEL = "BabyAI-MixedTrainLocal-v0"


def make_summary(manifest: Manifest, episodes: pd.DataFrame, standing: Standing) -> dict[str, Any]:
    """The content of `summary.json`.

    `agents`: by variant (with the settings that tell agents apart, where some differ), BALROG's summary of
    that agent: "Final score" and, under environments, progression_percentage with its standard_error
    (percent), episodes_played, average_steps, and the same per task. As on the leaderboard, a standard_error
    is that of independent episodes, sd / sqrt(n) with ddof 0; the tasks of one seed are not independent, so
    interval_95 (percent, by the estimators of docs/statistics.md) is the one to trust. Over all tasks,
    episodes of complete seed blocks count. NaN is null.
    """
    keys, split = groups(episodes, ("variant",))
    overall = rows_by_agent(estimates(episodes, "success", keys), keys)
    each = estimates(episodes, "success", [*keys, "task"])
    agents = {}
    for names, rows, tasks in split:
        agent = tuple(names.values())
        used = _complete_blocks(rows, tasks)
        score = _score(used, overall[agent])
        task_scores = {
            row["task"]: _score(rows[rows["task"] == row["task"]], row) | _balrog_name(row["task"])
            for row in rows_of(each, keys, agent).to_dict("records")
        }
        tokens = {name: _integer(used[name].sum(skipna=False)) for name in ("input_tokens", "output_tokens")}
        agents[name_of(agent)] = {
            "Final score": score["progression_percentage"],
            "standard_error": score["standard_error"],
            "environments": {ENVIRONMENT: score | {"tasks": task_scores} | tokens},
            **{f"total_{name}": value for name, value in tokens.items()},
            "client": {
                "model_id": _only(rows["model"]),
                "generate_kwargs": {
                    "temperature": manifest.sampling.temperature,
                    "max_tokens": manifest.sampling.max_tokens,
                },
                "dialects": {model: dialect.as_json() for model, dialect in manifest.dialects.items()},
            },
            "agent": {
                "type": names["variant"],
                "digest": _only(rows["variant_digest"]),
                "max_history": _only(rows["history_length"]),
                "num_dists": _only(rows["num_dists"]),
                "suite": suite.name if (suite := suite_of(rows["task"], rows["num_dists"])) else None,
            },
        }
    return {
        "run": manifest.run,
        "run_id": manifest.run_id,
        "created": manifest.created,
        "updated": manifest.updated,
        "llm": standing.llm,
        "complete": standing.complete,
        "episodes": {
            "planned": standing.planned,
            "finished": standing.finished,
            "errors": standing.errors,
            "unfinished": standing.unfinished,
        },
        "agents": agents,
        "versions": dict(manifest.versions),
    }


def _score(rows: pd.DataFrame, estimate: Mapping[Any, Any]) -> dict[str, Any]:
    """BALROG's figures of the finished `rows`, and the interval of `estimate`."""
    done = finished(rows)
    outcomes = done["success"].astype(float)
    n = len(done)
    return {
        "progression_percentage": _number(100 * outcomes.mean()),
        "standard_error": _number(100 * outcomes.std(ddof=0) / math.sqrt(n)) if n else None,
        "interval_95": [_number(100 * estimate["low"]), _number(100 * estimate["high"])],
        "interval": estimate["interval"],
        "episodes_played": n,
        "average_steps": _number(done["episode_length"].mean()),
        "errors": int(estimate["n_errors"]),
    }


def _complete_blocks(rows: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """The finished rows of seeds that have all of `tasks`."""
    done = finished(rows)
    seeds = cells(done, "success", tasks).dropna().index
    return done[done["seed"].isin(seeds)]


def _balrog_name(task: str) -> dict[str, str]:
    return {"balrog_task": f"{BALROG_LEVEL}/{task}"} if task in TASKS else {}


def _only(values: pd.Series[Any]) -> Any:
    """The one value that the column holds, as JSON has it."""
    value = values.iloc[0]
    return value.item() if isinstance(value, np.generic) else value


def _integer(value: float) -> int | None:
    return None if math.isnan(value) else round(value)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
