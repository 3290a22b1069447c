"""The two records of a run that examples can come from: its journal, and ClickHouse through the gateway.

Both are read into the same form: episodes with their rows and steps, each step with the template arguments
that the gateway was given. Which of them are worth learning from is decided in `curation`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from babyai_kit.runs.records import EpisodeRecord, StepRecord
from babyai_kit.store.queries import StoredStep, stored_episodes, stored_steps

PAGE = 1000
"""Inferences in one request."""


@dataclass(frozen=True)
class SourceStep:
    """One answered call."""

    inference_id: str
    step: int
    arguments: Mapping[str, Any]
    """Of the user template."""
    answer: str | None
    action: str
    """The action executed, also after an invalid answer."""
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
    manifest = read_run(folder)
    if not manifest:
        raise InputError(f"no run {run!r} under {results}; run it first or name its folder with results=")
    records = await asyncio.to_thread(read_steps, folder)
    stored = await asyncio.to_thread(_stored_steps, session, run_ids(manifest))
    known = _inference_ids(records)
    orphans = Counter(s.episode_id for s in stored.values() if s.inference_id not in known)
    episodes = []
    for row in read_episodes(folder).values():
        if row.variant == variant and row.status == "ok":
            steps = _journal_steps(row, records.get(row.episode_id, []))
            complete = _complete(row, steps, stored)
            episodes.append(SourceEpisode(row, steps, complete, orphans[row.episode_id]))
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
    known = _inference_ids(await asyncio.to_thread(read_steps, folder))
    rows = await asyncio.to_thread(_stored_episodes, session, run, ids)
    stored = await asyncio.to_thread(_stored_steps, session, ids) if ids else None
    inferences: dict[str, list[Any]] = {}
    for inference in await _inferences(session, run, variant):
        inferences.setdefault(str(inference.episode_id), []).append(inference)
    episodes = []
    for row in rows:
        if row.variant == variant and row.status == "ok":
            candidates = inferences.get(row.episode_id, [])
            steps = _stored_inference_steps(candidates, known)
            complete = _complete(row, steps, stored)
            episodes.append(SourceEpisode(row, steps, complete, len(candidates) - len(steps)))
    return episodes


def _journal_steps(row: EpisodeRecord, records: Sequence[StepRecord]) -> tuple[SourceStep, ...]:
    memory, mission = LastSteps(row.history_length), _mission(row)
    return tuple(
        SourceStep(
            inference_id=record.inference_id,
            step=record.step,
            arguments=_arguments(gateway_input(mission, record.observation, memory.recall(records[:i]))),
            answer=record.answer,
            action=record.action,
            valid=record.valid,
        )
        for i, record in enumerate(records)
    )


def _stored_inference_steps(inferences: Iterable[Any], known: set[str]) -> tuple[SourceStep, ...]:
    """The steps among an episode's stored inferences, in order. All others are orphans."""
    by_step: dict[int, list[Any]] = {}
    for inference in inferences:
        if not known or str(inference.inference_id) in known:
            by_step.setdefault(int(inference.tags["step"]), []).append(inference)
    steps = []
    for number, (inference, *others) in sorted(by_step.items()):
        if others:
            # Without the journal nothing says which of them counted.
            continue
        decision = decide(inference.output.parsed)
        steps.append(
            SourceStep(
                inference_id=str(inference.inference_id),
                step=number,
                arguments=inference.input.messages[0].content[0].arguments,
                answer=inference.output.raw,
                action=decision.action,
                valid=decision.valid,
            )
        )
    return tuple(steps)


def _complete(
    row: EpisodeRecord, steps: Sequence[SourceStep], stored: Mapping[str, StoredStep] | None
) -> bool:
    """True if all of the episode's steps are there and, as far as `stored` is known, stored whole."""
    if [s.step for s in steps] != list(range(row.episode_length)):
        return False
    return stored is None or all(s.inference_id in stored and stored[s.inference_id].whole for s in steps)


def _inference_ids(records: Mapping[str, Sequence[StepRecord]]) -> set[str]:
    return {record.inference_id for steps in records.values() for record in steps}


def _stored_steps(session: Session, ids: Sequence[str]) -> dict[str, StoredStep]:
    with contextlib.closing(session.clickhouse()) as client:
        return stored_steps(client, ids)


def _stored_episodes(session: Session, run: str, ids: Sequence[str] | None) -> list[EpisodeRecord]:
    with contextlib.closing(session.clickhouse()) as client:
        return stored_episodes(client, run, ids)


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


def _arguments(gateway_input: Mapping[str, Any]) -> Mapping[str, Any]:
    return gateway_input["messages"][0]["content"][0]["arguments"]


def _mission(row: EpisodeRecord) -> str:
    env = make_env(row.task, num_dists=row.num_dists)
    observation, _ = env.reset(seed=row.seed)
    env.close()
    return observation["mission"]
