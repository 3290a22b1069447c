"""Which episodes ClickHouse holds whole: the journal's steps against the stored inferences.

Nothing is sent or repaired. Of several inferences for one step, as after a kill, the one that the journal
names counts and the others are orphans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.runs.records import CallRecord, StepRecord, answered_calls
from babyai_kit.runs.run import Run
from babyai_kit.store.queries import StoredStep, stored_steps

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@dataclass(frozen=True)
class Completeness:
    """What of a run's steps ClickHouse holds. Every id is a UUID as text."""

    complete: frozenset[str]
    """episode_ids with every journalled step stored, each with its model call and its place in the index."""
    missing: dict[str, list[int]]
    """By episode_id, the steps that ClickHouse does not hold."""
    orphans: dict[str, list[str]]
    """By episode_id, the inference_ids that are stored and that no journalled step names."""
    partial: dict[str, list[int]] = field(default_factory=dict)
    """By episode_id, the steps that are stored without their model call (its tokens, cost and text), or
    without their place in the index, as after a crash of the gateway or of ClickHouse."""


def compare_steps(steps: Iterable[StepRecord | CallRecord], stored: Mapping[str, StoredStep]) -> Completeness:
    """Answered calls of a run's journal (see `answered_calls`) against what is `stored`, by inference_id."""
    seen: set[str] = set()
    journalled: set[str] = set()
    missing: dict[str, list[int]] = {}
    partial: dict[str, list[int]] = {}
    for step in steps:
        if not step.inference_id:
            continue  # the agent decided by itself
        seen.add(step.episode_id)
        journalled.add(step.inference_id)
        row = stored.get(step.inference_id)
        if row is None:
            missing.setdefault(step.episode_id, []).append(step.step)
        elif not row.whole:
            partial.setdefault(step.episode_id, []).append(step.step)
    orphans: dict[str, list[str]] = {}
    for inference_id, row in stored.items():
        if inference_id not in journalled:
            orphans.setdefault(row.episode_id, []).append(inference_id)
    whole = frozenset(seen - missing.keys() - partial.keys())
    return Completeness(whole, missing, orphans, partial)


def completeness(client: Client, run: str, *, results: StrPath = PROJECT_RESULTS) -> Completeness:
    """Compare the run on disk under `results` with the store behind `client`; blocks.

    Episodes of earlier prompts and unfinished ones are among those compared. Raises InputError if there is
    no such run, StoreError if ClickHouse is away.
    """
    opened = Run.open(run, results=results)
    steps = answered_calls(opened.step_records(), opened.call_records())
    return compare_steps(steps, stored_steps(client, opened.manifest.run_ids))
