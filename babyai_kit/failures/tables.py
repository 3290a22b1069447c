"""Tables of failures: a row per failed episode, and what they add up to.

Knows which rows are counted together; the classes are defined in `classes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.failures.classes import CLASSES, classify
from babyai_kit.failures.facts import observe
from babyai_kit.runs.records import KEY_COLUMNS
from babyai_kit.runs.run import Run
from babyai_kit.runs.trajectories import Trajectory
from babyai_kit.stats import cells, groups

FLAGS = {name: f"is_{name}" for name in CLASSES if name != "out_of_steps"}
"""Class: the column that says whether its condition holds, which several may."""

COLUMNS = [
    *(*KEY_COLUMNS, "variant_digest", "episode_id", "failure", *FLAGS.values(), "steps"),
    *("invalid_answers", "repeated_steps", "destroyed_goals", "wrong_objects"),
    *("stage", "goal", "goal_seen_steps"),
]


def load_failures(run: str, *, results: str | Path = "results") -> pd.DataFrame:
    """A row per failed episode of `run`: status ok, goal not reached, made with the run's present prompts.

    COLUMNS: the episode's key, variant_digest and episode_id; failure (its class, one of CLASSES); is_CLASS
    (bool: whether that class's condition holds, for all but the last); steps; invalid_answers, repeated_steps
    and goal_seen_steps (steps, see `Facts`); destroyed_goals and wrong_objects ("red key, grey box", empty
    if none); stage and goal (what the mission still asked for at the end).
    Raises InputError for an unknown run, JournalError where it cannot be read or does not replay.
    """
    return failures_of(Run.open(run, results=results).trajectories())


def failures_of(trajectories: Iterable[Trajectory]) -> pd.DataFrame:
    """`load_failures` for trajectories that were read before."""
    rows = []
    for trajectory in trajectories:
        if trajectory.outcome != "failure":
            continue
        facts = observe(trajectory)
        row: dict[str, Any] = asdict(facts) | vars(trajectory.key)
        row |= {"variant_digest": trajectory.variant_digest, "episode_id": trajectory.episode_id}
        row |= {column: CLASSES[name](facts) for name, column in FLAGS.items()}
        row |= {name: ", ".join(row[name]) for name in ("destroyed_goals", "wrong_objects")}
        rows.append(row | {"failure": classify(facts)})
    return pd.DataFrame(rows, columns=COLUMNS)


def failure_table(
    episodes: pd.DataFrame, failures: pd.DataFrame, by: Sequence[str] = ("variant", "task")
) -> pd.DataFrame:
    """Counts, a row per group of `episodes` (see `stats.groups`), also those without a failure.

    Columns: those of `by` (and settings that differ inside); n_episodes (finished without an error),
    n_failed, then a column per class with the failed episodes of that class, which sum to n_failed.
    """
    columns, split = groups(episodes, by)
    marked = _marked(episodes, failures)
    rows = []
    for names, group, _ in split:
        here = marked.loc[group.index]
        counts = {name: int((here["failure"] == name).sum()) for name in CLASSES}
        finished = int((here["status"] == "ok").sum())
        rows.append(names | {"n_episodes": finished, "n_failed": sum(counts.values())} | counts)
    return pd.DataFrame(rows, columns=[*columns, "n_episodes", "n_failed", *CLASSES])


def failure_shares(
    episodes: pd.DataFrame, failures: pd.DataFrame, by: Sequence[str] = ("variant",)
) -> pd.DataFrame:
    """Share of the episodes that failed in each class, in [0, 1]; averaged as the success rate is.

    That is: repeats within their seed first, and over several tasks complete seed blocks only, so that
    the shares and the success rate sum to 1. NaN where no block is complete. Columns: those of `by` (and
    settings that differ inside), n_seeds, n_episodes (behind the shares), then a column per class.
    """
    columns, split = groups(episodes, by)
    marked = _marked(episodes, failures)
    rows = []
    for names, group, tasks in split:
        here = marked.loc[group.index]
        here = here[here["status"] == "ok"]
        whole = cells(here.assign(one=1.0), "one", tasks).dropna()
        row = names | {"n_seeds": len(whole), "n_episodes": int(here["seed"].isin(whole.index).sum())}
        for name in CLASSES:
            share = cells(here.assign(one=(here["failure"] == name).astype(float)), "one", tasks)
            row[name] = float(share.loc[whole.index].to_numpy().mean()) if len(whole) else np.nan
        rows.append(row)
    return pd.DataFrame(rows, columns=[*columns, "n_seeds", "n_episodes", *CLASSES])


def _marked(episodes: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """`episodes` as `stats.groups` numbers its rows, with the class of those that failed."""
    classes = dict(zip(failures["episode_id"], failures["failure"], strict=True))
    marked = episodes.reset_index(drop=True)
    return marked.assign(failure=[classes.get(i, "") for i in marked["episode_id"]])
