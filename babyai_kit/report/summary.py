"""`summary.json`: a run in the form of BALROG's result files, to be laid beside its leaderboard.

Knows BALROG's names for things. Source of the form: `collect_and_summarize_results` of BALROG's package. Its
`summary.json` holds a score per environment, its `babyai_summary.json` one per task; ours has both for each
agent of the run, and better intervals beside.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.environment import TASKS
from babyai_kit.report.standing import Standing
from babyai_kit.stats import cells, estimates, groups

ENVIRONMENT = "babyai"
BALROG_LEVEL = "BabyAI-MixedTrainLocal-v0"


def make_summary(manifest: Mapping[str, Any], episodes: pd.DataFrame, standing: Standing) -> dict[str, Any]:
    """The content of `summary.json`.

    `agents`: by variant (with the settings that tell agents apart, where some differ), BALROG's summary of
    that agent: "Final score" and, under environments, progression_percentage with its standard_error
    (percent), episodes_played, average_steps, and the same per task. As on the leaderboard, a standard_error
    is that of independent episodes, sd / sqrt(n) with ddof 0; the tasks of one seed are not independent, so
    interval_95 (percent, by README's estimators) is the one to trust. Over all tasks, episodes of complete
    seed blocks count. NaN is null.
    """
    keys, split = groups(episodes, ("variant",))
    overall = estimates(episodes, "success", keys)
    each = estimates(episodes, "success", [*keys, "task"])
    agents = {}
    for (names, rows, tasks), row in zip(split, overall.to_dict("records"), strict=True):
        here = each.loc[np.logical_and.reduce([each[k] == v for k, v in names.items()])]
        used = _blocks(rows, tasks)
        score = _score(used, row)
        per_task = {
            r["task"]: _score(rows[rows["task"] == r["task"]], r) | _balrog_name(r["task"])
            for r in here.to_dict("records")
        }
        tokens = {
            f"{way}_tokens": _whole(used[f"{way}_tokens"].sum(skipna=False)) for way in ("input", "output")
        }
        agents[", ".join(map(str, names.values()))] = {
            "Final score": score["progression_percentage"],
            "standard_error": score["standard_error"],
            "environments": {ENVIRONMENT: score | {"tasks": per_task} | tokens},
            **{f"total_{name}": value for name, value in tokens.items()},
            "client": {
                "model_id": _only(rows["model"]),
                "generate_kwargs": {k: manifest["sampling"].get(k) for k in ("temperature", "max_tokens")},
            },
            "agent": {
                "type": names["variant"],
                "digest": _only(rows["variant_digest"]),
                "max_history": _only(rows["history_length"]),
                "num_dists": _only(rows["num_dists"]),
            },
        }
    return {
        "run": manifest["run"],
        "run_id": manifest["run_id"],
        "created": manifest["created"],
        "updated": manifest["updated"],
        "llm": standing.llm,
        "complete": standing.complete,
        "episodes": {
            "planned": standing.planned,
            "finished": standing.finished,
            "errors": standing.errors,
            "unfinished": standing.unfinished,
        },
        "agents": agents,
        "versions": manifest["versions"],
    }


def _score(rows: pd.DataFrame, estimate: Mapping[Hashable, Any]) -> dict[str, Any]:
    """BALROG's figures of the finished `rows`, and the interval of `estimate`."""
    finished = rows[rows["status"] == "ok"]
    outcomes = finished["success"].astype(float)
    n = len(finished)
    return {
        "progression_percentage": _number(100 * outcomes.mean()) if n else None,
        "standard_error": _number(100 * outcomes.std(ddof=0) / math.sqrt(n)) if n else None,
        "interval_95": [_number(100 * estimate["low"]), _number(100 * estimate["high"])],
        "interval": estimate["interval"],
        "episodes_played": n,
        "average_steps": _number(finished["episode_length"].mean()) if n else None,
        "errors": int(estimate["n_errors"]),
    }


def _blocks(rows: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """The finished rows of seeds that have all of `tasks`."""
    finished = rows[rows["status"] == "ok"]
    whole = cells(finished.assign(one=1.0), "one", tasks).dropna().index
    return finished[finished["seed"].isin(whole)]


def _balrog_name(task: str) -> dict[str, str]:
    return {"balrog_task": f"{BALROG_LEVEL}/{task}"} if task in TASKS else {}


def _only(values: pd.Series[Any]) -> Any:
    """The one value that the column holds, as JSON has it."""
    value = values.iloc[0]
    return value.item() if isinstance(value, np.generic) else value


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else round(value)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
