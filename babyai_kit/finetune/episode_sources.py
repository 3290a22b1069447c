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

from babyai_kit.agents.template_agent import LastSteps, decide, gateway_input
from babyai_kit.configuration.variants import FUNCTION
from babyai_kit.environment import make_env
from babyai_kit.errors import InputError
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.tensorzero_client import InferenceFilterTag, ListInferencesRequest
from babyai_kit.runs.journal import read_episodes, read_run, read_steps, run_folder
from babyai_kit.runs.manifest import run_ids
from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.store.queries import StoredStep, stored_episodes, stored_steps

PAGE = 1000
"""Inferences asked for at once."""


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
    folder = run_folder(results, run)
    manifest = _manifest(folder, run, results)
    steps = await asyncio.to_thread(read_steps, folder)
    rows = [r for r in read_episodes(folder).values() if r.variant == variant and r.status == "ok"]
    client = await asyncio.to_thread(session.clickhouse)
    try:
        stored = await asyncio.to_thread(stored_steps, client, run_ids(manifest))
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
                arguments=_arguments(gateway_input(mission, s.observation, memory.recall(recorded[:i]))),
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
    manifest = read_run(folder)
    ids = run_ids(manifest) if manifest else None
    client = await asyncio.to_thread(session.clickhouse)
    try:
        rows = await asyncio.to_thread(stored_episodes, client, run, ids)
        rows = [r for r in rows if r.variant == variant and r.status == "ok"]
        stored = await asyncio.to_thread(stored_steps, client, ids) if ids else None
    finally:
        await asyncio.to_thread(client.close)
    steps = await asyncio.to_thread(read_steps, folder)
    named = {s.inference_id for of_one in steps.values() for s in of_one}
    found: dict[str, list[Any]] = {row.episode_id: [] for row in rows}
    for inference in await _inferences(session, run, variant):
        if str(inference.episode_id) in found:
            found[str(inference.episode_id)].append(inference)
    return [_assembled(row, found[row.episode_id], named, stored) for row in rows]


def _assembled(
    row: EpisodeRecord, inferences: Sequence[Any], named: set[str], stored: Mapping[str, StoredStep] | None
) -> SourceEpisode:
    by_step: dict[int, list[Any]] = {}
    orphans = 0
    for inference in inferences:
        if named and str(inference.inference_id) not in named:
            orphans += 1
            continue
        by_step.setdefault(int(inference.tags["step"]), []).append(inference)
    steps = []
    for number in sorted(by_step):
        (inference, *more) = by_step[number]
        if more:
            orphans += len(more)
            continue
        parsed = inference.output.parsed
        steps.append(
            SourceStep(
                inference_id=str(inference.inference_id),
                step=number,
                arguments=inference.input.messages[0].content[0].arguments,
                answer=inference.output.raw,
                valid=decide(parsed).valid,
            )
        )
    whole = [s.step for s in steps] == list(range(row.episode_length)) and (
        stored is None
        or all((found := stored.get(s.inference_id)) is not None and found.whole for s in steps)
    )
    return SourceEpisode(row, tuple(steps), whole, orphans)


async def _inferences(session: Session, run: str, variant: str) -> list[Any]:
    """Every stored inference of `variant` in `run`."""
    of_run = InferenceFilterTag(comparison_operator="=", key="run", value=run)
    found: list[Any] = []
    while True:
        request = ListInferencesRequest(
            function_name=FUNCTION,
            variant_name=variant,
            filters=of_run,
            limit=PAGE,
            # Newest come first, and ids grow with time.
            before=min(str(i.inference_id) for i in found) if found else None,
        )
        with session.client() as gateway:
            page = (await gateway.list_inferences(request=request)).inferences
        found += page
        if len(page) < PAGE:
            return found


def _manifest(folder: Path, run: str, results: str | Path) -> dict[str, Any]:
    manifest = read_run(folder)
    if not manifest:
        raise InputError(f"no run {run!r} under {results}; run it first or name its folder with results=")
    return manifest


def _arguments(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return given["messages"][0]["content"][0]["arguments"]


def _mission(row: EpisodeRecord) -> str:
    env = make_env(row.task, num_dists=row.num_dists)
    observation, _ = env.reset(seed=row.seed)
    env.close()
    return observation["mission"]
