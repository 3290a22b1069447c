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
from babyai_kit.stats import DOLLARS, MEASURES, UNKNOWN, compare, verdict
from babyai_kit.stats.tables import ALL_TASKS
from babyai_kit.terminal_text import aligned, wrapped

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
        lines = [f"{self.tuned} against {self.base}, test block", *self._lines(self.comparison)]
        seeds = self.overlap["seed"].nunique()
        overlap = f"Test episodes that start like a train episode: {len(self.overlap)} (seeds: {seeds})"
        if len(self.comparison_apart):
            success = self.comparison_apart[self.comparison_apart["measure"] == "success"]
            lines += [f"{overlap}.", "Success without these seeds:", *self._lines(success)]
        elif seeds:
            lines.append("Every test seed has an episode that starts like a train episode.")
        else:
            lines.append("No test episode starts like a train episode.")
        return "\n".join(lines)

    def _lines(self, comparison: pd.DataFrame) -> list[str]:
        """A table over all tasks, and the verdict on success."""
        rows = comparison[(comparison["task"] == ALL_TASKS) & comparison["difference"].notna()]
        seeds = sorted({int(count) for count in rows["n_seeds"]})
        counts = " to ".join(str(count) for count in dict.fromkeys((*seeds[:1], *seeds[-1:])))
        cells = [(f"{counts} seeds", "base", "tuned", "difference", "95% interval")]
        for _, row in rows.iterrows():
            measure = MEASURES[row["measure"]]
            low, high = measure.difference(row["low"]), measure.difference(row["high"])
            cells.append(
                (
                    measure.heading.replace(DOLLARS, "$"),
                    measure.number(row["baseline_value"]),
                    measure.number(row["value"]),
                    measure.difference(row["difference"]),
                    UNKNOWN if pd.isna(row["low"]) else f"{low} to {high}",
                )
            )
        sentences = [
            verdict(self.tuned, {**row, "baseline": self.base}, MEASURES["success"])
            for _, row in rows[rows["measure"] == "success"].iterrows()
        ]
        return [*aligned(cells), *(line for text in sentences for line in wrapped(text))]


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
    options.setdefault("models", [session.config.first_model])
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
