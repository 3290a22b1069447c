"""The two records of a run that examples can come from: its journal, and ClickHouse through the gateway.

Knows how to read either into the same form: episodes with their rows, and steps with the input that the
gateway was given. Nothing of which are worth learning from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyai_kit.agents.template_agent import LastSteps, decide, template_arguments
from babyai_kit.environment import make_env
from babyai_kit.gateway.protocol import StoredInference
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import read_steps, run_folder
from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.runs.run import Run
from babyai_kit.store.queries import StoredStep, stored_episodes, stored_steps


@dataclass(frozen=True)
class SourceStep:
    """One answered call."""

    inference_id: str
    step: int
    arguments: Mapping[str, Any]
    """Of the user template."""
    answer: str | None
    valid: bool


@dataclass(frozen=True)
class SourceEpisode:
    """One finished episode of a variant, its steps in order."""

    row: EpisodeRecord
    steps: tuple[SourceStep, ...]
    complete: bool
    """ClickHouse holds every step of it."""
    orphans: int
    """Stored inferences of it that belong to no step (after a kill or a client timeout); not in `steps`."""


async def from_journal(session: Session, run: str, variant: str, results: str | Path) -> list[SourceEpisode]:
    """Finished episodes of `variant` in the journal of `run`; ClickHouse says which are complete there."""
    opened = Run.open(run, results=results)
    steps = await asyncio.to_thread(opened.step_records)
    rows = [r for r in opened.episode_records().values() if r.variant == variant and r.status == "ok"]
    client = await asyncio.to_thread(session.clickhouse)
    try:
        stored = await asyncio.to_thread(stored_steps, client, opened.manifest.run_ids)
    finally:
        await asyncio.to_thread(client.close)
    named = {s.inference_id for of_one in steps.values() for s in of_one}
    orphans: dict[str, int] = {}
    for kept in stored.values():
        if kept.inference_id not in named:
            orphans[kept.episode_id] = orphans.get(kept.episode_id, 0) + 1
    episodes = []
    for row in rows:
        recorded = steps.get(row.episode_id, [])
        memory, mission = LastSteps(row.history_length), _mission(row)
        taken = tuple(
            SourceStep(
                inference_id=s.inference_id,
                step=s.step,
                arguments=template_arguments(mission, s.observation, memory.recall(recorded[:i])),
                answer=s.answer,
                valid=s.valid,
            )
            for i, s in enumerate(recorded)
        )
        whole = len(taken) == row.episode_length and all(
            (found := stored.get(s.inference_id)) is not None and found.whole for s in taken
        )
        episodes.append(SourceEpisode(row, taken, whole, orphans.get(row.episode_id, 0)))
    return episodes


async def from_clickhouse(
    session: Session, run: str, variant: str, results: str | Path
) -> list[SourceEpisode]:
    """The same from what the gateway stored. Where the journal is at hand, it says which of several
    inferences of one step counted; where it is not, such steps leave their episode incomplete.
    """
    folder = run_folder(results, run)
    opened = Run.at(folder)
    ids = opened.manifest.run_ids if opened else None
    client = await asyncio.to_thread(session.clickhouse)
    try:
        rows = await asyncio.to_thread(stored_episodes, client, run, ids)
        rows = [r for r in rows if r.variant == variant and r.status == "ok"]
        stored = await asyncio.to_thread(stored_steps, client, ids) if ids else None
    finally:
        await asyncio.to_thread(client.close)
    steps = await asyncio.to_thread(read_steps, folder)
    named = {s.inference_id for of_one in steps.values() for s in of_one}
    inferences: dict[str, list[StoredInference]] = {row.episode_id: [] for row in rows}
    for inference in await session.stored_inferences(variant, run):
        if inference.episode_id in inferences:
            inferences[inference.episode_id].append(inference)
    return [_assembled(row, inferences[row.episode_id], named, stored) for row in rows]


def _assembled(
    row: EpisodeRecord,
    inferences: Sequence[StoredInference],
    named: set[str],
    stored: Mapping[str, StoredStep] | None,
) -> SourceEpisode:
    by_step: dict[int, list[StoredInference]] = {}
    orphans = 0
    for inference in inferences:
        if named and inference.inference_id not in named:
            orphans += 1
            continue
        by_step.setdefault(int(inference.tags["step"]), []).append(inference)
    steps = []
    for number in sorted(by_step):
        (inference, *more) = by_step[number]
        if more:
            orphans += len(more)
            continue
        steps.append(
            SourceStep(
                inference_id=inference.inference_id,
                step=number,
                arguments=inference.arguments,
                answer=inference.raw,
                valid=decide(inference.parsed).valid,
            )
        )
    whole = [s.step for s in steps] == list(range(row.episode_length)) and (
        stored is None
        or all((found := stored.get(s.inference_id)) is not None and found.whole for s in steps)
    )
    return SourceEpisode(row, tuple(steps), whole, orphans)


def _mission(row: EpisodeRecord) -> str:
    env = make_env(row.task, num_dists=row.num_dists)
    observation, _ = env.reset(seed=row.seed)
    env.close()
    return observation["mission"]
