"""`curate`: from the episodes of runs to the examples that are worth learning from.

Knows what makes an episode and a step fit, and counts what each rule leaves; nothing of how examples are
sent anywhere. Examples come from the train block alone. The gateway is told too: the episodes chosen get
the metric `curated` = true, those chosen before and no more get false, so that the form of TensorZero's UI,
which filters by metric only, finds the present choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit.agents.template_agent import FALLBACK_ACTION, decide
from babyai_kit.configuration.variants import Variant
from babyai_kit.environment import needed_steps
from babyai_kit.errors import InputError
from babyai_kit.finetune.curated_metric import mark
from babyai_kit.finetune.episode_sources import SourceEpisode, SourceStep, from_clickhouse, from_journal
from babyai_kit.finetune.prompts import Messages, Renderer
from babyai_kit.gateway.session import Session
from babyai_kit.runs.seed_blocks import check_block

SOURCES = {"clickhouse": from_clickhouse, "journal": from_journal}


@dataclass(frozen=True)
class Example:
    """One step to learn from: what the model was shown and what it answered."""

    prompt: Messages
    answer: str
    episode_id: str
    inference_id: str
    run: str
    task: str
    seed: int
    step: int
    """From 0."""


@dataclass(frozen=True)
class Curation:
    """What `curate` chose."""

    variant: str
    model: str
    """The variant's, which is what is fine-tuned unless another is named."""
    runs: tuple[str, ...]
    examples: tuple[Example, ...]
    """Sorted by run, task, seed, repeat and step."""
    counts: pd.DataFrame
    """A row per rule, in order: stage, episodes, steps (what is left after it)."""

    @property
    def digest(self) -> str:
        """12 hex digits over prompts and answers: equal for equal examples."""
        content = json.dumps([(e.prompt, e.answer) for e in self.examples])
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({e.seed for e in self.examples}))

    def __str__(self) -> str:
        tasks = pd.Series([e.task for e in self.examples]).value_counts()
        return (
            f"{len(self.examples)} examples of {len({e.episode_id for e in self.examples})} episodes of "
            f"{self.variant} ({', '.join(f'{task} {n}' for task, n in tasks.items())})\n"
            + self.counts.to_string(index=False)
        )


async def curate(
    session: Session,
    runs: str | Sequence[str],
    variant: str,
    *,
    min_return: float = 0.0,
    max_per_task: int | None = 40,
    shortest_only: bool = False,
    drop_detours: bool = False,
    seeds: Iterable[int] | None = None,
    source: str = "clickhouse",
    mark_curated: bool = True,
    results: str | Path = "results",
) -> Curation:
    """Choose examples from the episodes of `variant` in `runs`.

    An episode is chosen if it succeeded with a return of at least `min_return` (0 to 1) under the present
    prompt, and ClickHouse holds all its steps; of each task at most `max_per_task`, best return first; with
    `shortest_only`, of the episodes that share task and seed only the best. Of its steps, those with an
    invalid answer and those that repeat another example word for word are left out.
    With `drop_detours` the steps that an episode did not need are left out too (see `needed_steps`).
    `seeds`: only these, which must be of the train block; None: all, and it is an error if one is not.
    `source`: "clickhouse" (what the gateway stored, read through its API) or "journal"; both give the same.
    `mark_curated`: send the metric. Raises InputError if nothing is left, naming the counts, and for seeds
    outside the train block; StoreError and GatewayError if they do not answer.
    """
    runs = (runs,) if isinstance(runs, str) else tuple(runs)
    known = session.config.variants
    if variant not in known:
        raise InputError(f"unknown variant {variant!r}; choose from {', '.join(known)}")
    if source not in SOURCES:
        raise InputError(f"unknown source {source!r}; use 'clickhouse' or 'journal'")
    if not 0 <= min_return <= 1:
        raise InputError(f"min_return {min_return!r} is not in range; use 0 to 1")
    if max_per_task is not None and max_per_task < 1:
        raise InputError(f"max_per_task {max_per_task!r} is not valid; use at least 1, or None for no limit")
    wanted = None if seeds is None else set(seeds)
    if wanted is not None:
        check_block(wanted, "train", "training data")
    episodes = [e for run in runs for e in await SOURCES[source](session, run, variant, results)]
    if wanted is None:
        check_block((e.row.seed for e in episodes), "train", "training data")
    else:
        episodes = [e for e in episodes if e.row.seed in wanted]
    chosen, stages = _choose(episodes, known[variant], min_return, max_per_task, shortest_only)
    examples = _examples(chosen, known[variant], stages, drop_detours)
    counts = pd.DataFrame(stages, columns=["stage", "episodes", "steps"])
    if not examples:
        raise InputError(
            "nothing to learn from is left; run more train seeds or lower min_return: "
            + ", ".join(f"{stage}: {n}" for stage, n, _ in stages)
        )
    if mark_curated:
        await mark(session, [e.row for e in chosen])
    return Curation(variant, known[variant].model, runs, examples, counts)


def _choose(
    episodes: list[SourceEpisode],
    variant: Variant,
    min_return: float,
    max_per_task: int | None,
    shortest_only: bool,
) -> tuple[list[SourceEpisode], list[tuple[str, int, int]]]:
    """The episodes that every rule leaves, sorted by key, and what each rule left."""
    stages: list[tuple[str, int, int]] = []
    # Best first, so that every limit keeps the best.
    left = sorted(episodes, key=lambda e: (-(e.row.episode_return or 0.0), e.row.key))

    def keep(stage: str, kept: list[SourceEpisode]) -> list[SourceEpisode]:
        stages.append((stage, len(kept), sum(len(e.steps) for e in kept)))
        return kept

    left = keep("finished", left)
    left = keep("present prompt", [e for e in left if e.row.variant_digest == variant.digest])
    left = keep("succeeded", [e for e in left if e.row.success])
    left = keep(f"return >= {min_return:g}", [e for e in left if (e.row.episode_return or 0) >= min_return])
    left = keep("complete in ClickHouse", [e for e in left if e.complete])
    if shortest_only:
        left = keep("best of its task and seed", _first(left, 1, "task", "num_dists", "seed"))
    if max_per_task is not None:
        left = keep(f"at most {max_per_task} of a task", _first(left, max_per_task, "task"))
    orphans = sum(e.orphans for e in left)
    stages.append((f"orphans left out ({orphans})", len(left), stages[-1][2]))
    return sorted(left, key=lambda e: e.row.key), stages


def _needed(episode: SourceEpisode) -> list[SourceStep]:
    """The steps that the episode's success needed."""
    row, steps = episode.row, episode.steps
    actions = [
        decide(json.loads(s.answer)).action if s.valid and s.answer else FALLBACK_ACTION for s in steps
    ]
    needed = needed_steps(row.task, row.seed, actions, num_dists=row.num_dists)
    return list(compress(steps, needed))


def _first(episodes: list[SourceEpisode], most: int, *fields: str) -> list[SourceEpisode]:
    """The first `most` of every group that agrees in `fields`."""
    taken: dict[tuple[Any, ...], int] = {}
    kept = []
    for episode in episodes:
        group = tuple(getattr(episode.row, field) for field in fields)
        taken[group] = taken.get(group, 0) + 1
        if taken[group] <= most:
            kept.append(episode)
    return kept


def _examples(
    episodes: list[SourceEpisode],
    variant: Variant,
    stages: list[tuple[str, int, int]],
    drop_detours: bool,
) -> tuple[Example, ...]:
    renderer = Renderer(variant)
    taken = [(episode, step) for episode in episodes for step in episode.steps]
    if drop_detours:
        taken = [
            pair for episode in episodes for pair in zip(repeat(episode), _needed(episode), strict=False)
        ]
        stages.append(("without detours", len(episodes), len(taken)))
    valid = [
        Example(
            prompt=renderer.messages(step.arguments),
            answer=step.answer or "",
            episode_id=episode.row.episode_id,
            inference_id=step.inference_id,
            run=episode.row.run,
            task=episode.row.task,
            seed=episode.row.seed,
            step=step.step,
        )
        for episode, step in taken
        if step.valid
    ]
    once: dict[tuple[Messages, str], Example] = {}
    for example in valid:
        once.setdefault((example.prompt, example.answer), example)
    for stage, left in (("valid answers", valid), ("duplicates removed", list(once.values()))):
        stages.append((stage, len({e.episode_id for e in left}), len(left)))
    return tuple(once.values())
