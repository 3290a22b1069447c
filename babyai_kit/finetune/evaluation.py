"""What fine-tuning gained: base and tuned variant on the same test episodes, paired.

The estimators are those of `stats`. Only seeds of the test block count, and the gain is reported twice: on
all of them, and without those on which an episode starts like one of the train block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.environment import TASKS
from babyai_kit.errors import InputError, NoSharedSeedsError
from babyai_kit.experiment.experiment import run_experiment
from babyai_kit.gateway.session import Session
from babyai_kit.runs.seed_blocks import TEST, TRAIN, check_block, start_overlap
from babyai_kit.stats import MEASURES, compare
from babyai_kit.stats.tables import ALL_TASKS

COMPARED = ("success", "episode_return", "episode_length", "input_tokens", "output_tokens", "cost_usd")
"""The measures compared, of stats.MEASURES."""


@dataclass(frozen=True)
class Evaluation:
    """The gain of `tuned` over `base` on the test block."""

    base: str
    tuned: str
    episodes: pd.DataFrame
    comparison: pd.DataFrame
    """See `compare`: a row per measure and task."""
    overlap: pd.DataFrame
    """The test episodes that start like a train episode (see `start_overlap`)."""
    comparison_apart: pd.DataFrame
    """The same without the seeds in `overlap`; empty if none is left."""

    @property
    def gain(self) -> pd.Series:
        """The row of `comparison` for success over all tasks: difference, low, high and the rest."""
        rows = self.comparison
        return rows[(rows["measure"] == "success") & (rows["task"] == ALL_TASKS)].iloc[0]

    def __str__(self) -> str:
        lines = [f"{self.tuned} against {self.base}, test block, 95% intervals"]
        lines += _lines(self.comparison)
        seeds = self.overlap["seed"].nunique()
        overlap = f"{len(self.overlap)} test episodes (of {seeds} seeds) start like a train episode"
        if len(self.comparison_apart):
            success = self.comparison_apart[self.comparison_apart["measure"] == "success"]
            lines += [f"{overlap}; without these seeds:", *_lines(success)]
        elif seeds:
            lines.append(f"{overlap}; every seed has one")
        else:
            lines.append(overlap)
        return "\n".join(lines)


async def evaluate(
    session: Session,
    run: str,
    *,
    base: str,
    tuned: str,
    tasks: Iterable[str] = TASKS,
    seeds: Iterable[int] = TEST,
    train: Iterable[int] = TRAIN,
    num_dists: int = 0,
    results: StrPath = PROJECT_RESULTS,
    **options: Any,
) -> Evaluation:
    """Run `base` and `tuned` on the same test episodes, as `run`, and compare them, paired by seed.

    `seeds` must be of the test block; `train`: the seeds that were learned from. `options` are those of
    `run_experiment`. Raises InputError for other seeds or a variant that the gateway does not serve (a newly
    registered one needs a new session), and what `run_experiment` raises.
    """
    tasks, seeds = list(tasks), list(seeds)
    check_block(seeds, "test", "an evaluation")
    check_block(train, "train", "training")
    if base == tuned:
        raise InputError(f"{base!r} cannot be compared with itself; name the tuned variant")
    episodes = await run_experiment(
        session, run, [base, tuned], tasks, seeds, num_dists=num_dists, results=results, **options
    )
    return assess(episodes, base, tuned, start_overlap(tasks, train=train, test=seeds, num_dists=num_dists))


def assess(episodes: pd.DataFrame, base: str, tuned: str, overlap: pd.DataFrame) -> Evaluation:
    """The evaluation of existing episodes. Raises what `compare` raises."""
    both = episodes[episodes["variant"].isin([base, tuned])]
    comparison = _compare(both, base)
    apart = both[~both["seed"].isin(overlap["seed"])]
    try:
        comparison_apart = _compare(apart, base) if len(overlap) and len(apart) else comparison.iloc[:0]
    except NoSharedSeedsError:
        comparison_apart = comparison.iloc[:0]
    return Evaluation(
        base=base,
        tuned=tuned,
        episodes=both,
        comparison=comparison,
        overlap=overlap,
        comparison_apart=comparison_apart,
    )


def _compare(episodes: pd.DataFrame, base: str) -> pd.DataFrame:
    return compare(episodes, base, measures=COMPARED, by=("variant",))


def _lines(comparison: pd.DataFrame) -> list[str]:
    lines = []
    for _, row in comparison[comparison["task"] == ALL_TASKS].iterrows():
        measure = MEASURES[row["measure"]]
        if pd.isna(row["difference"]):
            continue
        gain, low, high = (measure.difference(row[name]) for name in ("difference", "low", "high"))
        unit = f" {measure.difference_unit}" if measure.difference_unit else ""
        lines.append(
            f"  {measure.label:<26}{measure.text(row['baseline_value'])} -> {measure.text(row['value'])}, "
            f"{gain}{unit} ({low} to {high}), {row['n_seeds']} seeds"
        )
    return lines
