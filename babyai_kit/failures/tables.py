"""Tables of failures: a row per failed episode, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.failures.classes import CLASSES, classify
from babyai_kit.failures.facts import observe
from babyai_kit.runs.answers import count_reasons, counts_text
from babyai_kit.runs.records import KEY_COLUMNS
from babyai_kit.runs.run import Run
from babyai_kit.runs.trajectories import Trajectory
from babyai_kit.stats import cells, finished, groups

FLAGS = {name: f"is_{name}" for name in CLASSES if name != "out_of_steps"}
"""By class, the column that says whether its condition holds; several may."""

COLUMNS = [
    *KEY_COLUMNS, "variant_digest", "episode_id", "failure", *FLAGS.values(), "steps", "invalid_answers",
    "invalid_reasons", "repeated_steps", "destroyed_goals", "wrong_objects", "stage", "goal",
    "goal_seen_steps",
]  # fmt: skip


def load_failures(run: str, *, results: StrPath = PROJECT_RESULTS) -> pd.DataFrame:
    """A row per failed episode of `run`: status ok, goal not reached, made with the run's present prompts.

    COLUMNS: the episode's key, variant_digest and episode_id; failure (its class, one of CLASSES); is_CLASS
    (bool: whether that class's condition holds, for all but the last); steps; invalid_answers, repeated_steps
    and goal_seen_steps (steps, see `Facts`); invalid_reasons ("cut off: 12, empty: 3", see
    `runs.answers.InvalidReason`, empty if none); destroyed_goals and wrong_objects ("red key, grey box",
    empty if none); stage and goal (what the mission still asked for at the end).
    Raises InputError for an unknown run, JournalError where it cannot be read or does not replay.
    """
    return failures_of(Run.open(run, results=results).trajectories())


def failures_of(trajectories: Iterable[Trajectory]) -> pd.DataFrame:
    """`load_failures` of these trajectories."""
    rows = []
    for trajectory in trajectories:
        if trajectory.outcome != "failure":
            continue
        facts = observe(trajectory)
        row: dict[str, Any] = asdict(facts) | vars(trajectory.key)
        row |= {"variant_digest": trajectory.variant_digest, "episode_id": trajectory.episode_id}
        row["invalid_reasons"] = counts_text(count_reasons(trajectory.steps))
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
    classified = _classified(episodes, failures)
    table = []
    for names, rows, _ in split:
        done = finished(classified.loc[rows.index])
        counts = {name: int((done["failure"] == name).sum()) for name in CLASSES}
        table.append(names | {"n_episodes": len(done), "n_failed": sum(counts.values())} | counts)
    return pd.DataFrame(table, columns=[*columns, "n_episodes", "n_failed", *CLASSES])


def failure_shares(
    episodes: pd.DataFrame, failures: pd.DataFrame, by: Sequence[str] = ("variant",)
) -> pd.DataFrame:
    """Share of the episodes that failed in each class, in [0, 1]; averaged as the success rate is.

    That is: repeats within their seed first, and over several tasks complete seed blocks only, so that
    the shares and the success rate sum to 1. NaN where no block is complete. Columns: those of `by` (and
    settings that differ inside), n_seeds, n_episodes (behind the shares), then a column per class.
    """
    columns, split = groups(episodes, by)
    classified = _classified(episodes, failures)
    table = []
    for names, rows, tasks in split:
        done = finished(classified.loc[rows.index])
        shares = {
            name: cells(done.assign(share=done["failure"] == name), "share", tasks).dropna()
            for name in CLASSES
        }
        seeds = shares["loop"].index
        row = names | {"n_seeds": len(seeds), "n_episodes": int(done["seed"].isin(seeds).sum())}
        row |= {
            name: float(share.to_numpy().mean()) if len(seeds) else np.nan for name, share in shares.items()
        }
        table.append(row)
    return pd.DataFrame(table, columns=[*columns, "n_seeds", "n_episodes", *CLASSES])


def _classified(episodes: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """`episodes` as `stats.groups` numbers its rows, with the class of those that failed."""
    classes = dict(zip(failures["episode_id"], failures["failure"], strict=True))
    numbered = episodes.reset_index(drop=True)
    return numbered.assign(failure=[classes.get(name, "") for name in numbered["episode_id"]])
