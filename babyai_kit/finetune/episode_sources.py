"""The two records of a run that examples can come from: its journal, and ClickHouse through the gateway.

Both are read into the same form: episodes with their rows and steps, each step with the template arguments
that the gateway was given. Which of them are worth learning from is decided in `curation`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from babyai_kit.agents.template_agent import LastSteps, decide, gateway_input
from babyai_kit.configuration.variants import FUNCTION
from babyai_kit.environment import make_env
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.tensorzero_client import InferenceFilterTag, ListInferencesRequest
from babyai_kit.runs.journal import existing_run, read_episodes, read_run, read_steps, run_folder
from babyai_kit.runs.manifest import run_ids
from babyai_kit.runs.records import EpisodeRecord, StepRecord
from babyai_kit.store.completeness import Completeness, compare_steps
from babyai_kit.store.queries import stored_episodes, stored_steps

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
    """Stored inferences of it that belong to no step of the journal (after a kill or a client timeout)."""


async def from_journal(session: Session, run: str, variant: str, results: str | Path) -> list[SourceEpisode]:
    """Finished episodes of `variant` in the journal of `run`; ClickHouse says which are complete there."""
    folder, manifest = existing_run(results, run)
    records = await asyncio.to_thread(read_steps, folder)
    comparison = await asyncio.to_thread(_compare, session, run_ids(manifest), records)
    episodes = []
    for row in _of_variant(read_episodes(folder).values(), variant):
        steps = _journal_steps(row, records.get(row.episode_id, []))
        episodes.append(_source_episode(row, steps, comparison))
    return episodes


async def from_clickhouse(
    session: Session, run: str, variant: str, results: str | Path
) -> list[SourceEpisode]:
    """The same from what the gateway stored. Where the journal is at hand, it says which of several
    inferences of one step counted; where it is not, such steps leave their episode incomplete.
    """
    folder = run_folder(results, run)
    manifest = read_run(folder)
    records = await asyncio.to_thread(read_steps, folder)
    ids = run_ids(manifest) if manifest else None
    comparison = await asyncio.to_thread(_compare, session, ids, records) if ids and records else None
    counted = {record.inference_id for steps in records.values() for record in steps}
    inferences: dict[str, list[Any]] = {}
    for inference in await _inferences(session, run, variant):
        if not counted or str(inference.inference_id) in counted:
            inferences.setdefault(str(inference.episode_id), []).append(inference)
    episodes = []
    for row in _of_variant(await asyncio.to_thread(_stored_episodes, session, run, ids), variant):
        steps = _inference_steps(inferences.get(row.episode_id, []))
        episodes.append(_source_episode(row, steps, comparison))
    return episodes


def _compare(session: Session, ids: Sequence[str], records: Mapping[str, list[StepRecord]]) -> Completeness:
    with contextlib.closing(session.clickhouse()) as client:
        return compare_steps(chain.from_iterable(records.values()), stored_steps(client, ids))


def _stored_episodes(session: Session, run: str, ids: Sequence[str] | None) -> list[EpisodeRecord]:
    with contextlib.closing(session.clickhouse()) as client:
        return stored_episodes(client, run, ids)


def _of_variant(rows: Iterable[EpisodeRecord], variant: str) -> list[EpisodeRecord]:
    return [row for row in rows if row.variant == variant and row.status == "ok"]


def _source_episode(
    row: EpisodeRecord, steps: tuple[SourceStep, ...], comparison: Completeness | None
) -> SourceEpisode:
    """The episode, judged by the `comparison` of journal and ClickHouse (None without a journal)."""
    complete = [s.step for s in steps] == list(range(row.episode_length))
    if comparison is None:
        return SourceEpisode(row, steps, complete=complete, orphans=0)
    return SourceEpisode(
        row,
        steps,
        complete=complete and row.episode_id in comparison.complete,
        orphans=len(comparison.orphans.get(row.episode_id, ())),
    )


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


def _inference_steps(inferences: Iterable[Any]) -> tuple[SourceStep, ...]:
    """The steps of an episode, in order, from its stored inferences."""
    by_step: dict[int, list[Any]] = {}
    for inference in inferences:
        by_step.setdefault(int(inference.tags["step"]), []).append(inference)
    steps = []
    for number, (inference, *others) in sorted(by_step.items()):
        if others:
            # Without a journal nothing says which of them counted.
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
