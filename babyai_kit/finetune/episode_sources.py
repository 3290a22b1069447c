"""The two records of a run that examples can come from: its journal, and ClickHouse through the gateway.

Both are read into the same form: episodes with their rows and steps, each step with the template arguments
that the gateway was given. Which of them are worth learning from is decided in `curation`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from babyai_kit.agents.interface import Turn
from babyai_kit.agents.rendering import Messages
from babyai_kit.agents.step_prompt import step_prompt
from babyai_kit.agents.template_agent import decide
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.served_models import gateway_name, served_as
from babyai_kit.configuration.variants import CHAT_VARIANT
from babyai_kit.environment.playback import Playback
from babyai_kit.gateway.protocol import StoredInference
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import run_folder
from babyai_kit.runs.records import EpisodeRecord, StepRecord, answered_calls
from babyai_kit.runs.run import Run
from babyai_kit.store.completeness import Completeness, compare_steps
from babyai_kit.store.queries import stored_episodes, stored_steps


@dataclass(frozen=True)
class SourceStep:
    """One answered call."""

    inference_id: str
    step: int
    arguments: Mapping[str, Any]
    """Of the user template; in a dialogue, of its last message."""
    answer: str | None
    action: str
    """The action executed, also after an invalid answer."""
    valid: bool
    messages: Messages | None = None
    """What an agent of Python code asked with; None for a variant of `config/`, which has `arguments`."""
    earlier: tuple[Turn, ...] = ()
    """Of a dialogue."""
    observation: str = ""
    """Seen before it, where the prompt is still to be made."""


@dataclass(frozen=True)
class SourceEpisode:
    """One finished episode of a variant, its steps in order."""

    row: EpisodeRecord
    steps: tuple[SourceStep, ...]
    complete: bool
    """ClickHouse holds every step of it."""
    orphans: int
    """Stored inferences of it that belong to no step (after a kill or a client timeout)."""


async def from_journal(session: Session, run: str, variant: str, results: StrPath) -> list[SourceEpisode]:
    """Finished episodes of `variant` in the journal of `run`; ClickHouse says which are complete there."""
    chosen = session.config.variants[variant]
    if chosen.chats:
        # The journal knows the answers of such an agent, and ClickHouse what it asked.
        return await from_clickhouse(session, run, variant, results)
    on_disk = Run.open(run, results=results)
    records = await asyncio.to_thread(on_disk.step_records)
    comparison = await asyncio.to_thread(_compare, session, on_disk, records)
    episodes = []
    for row in _of_variant(on_disk.episode_records().values(), variant):
        steps = journal_steps(row, records.get(row.episode_id, []), dialogue=chosen.dialogue)
        episodes.append(_source_episode(row, steps, comparison))
    return episodes


async def from_clickhouse(session: Session, run: str, variant: str, results: StrPath) -> list[SourceEpisode]:
    """The same from what the gateway stored. Where the journal is at hand, it says which of several
    inferences of one step counted; where it is not, such steps leave their episode incomplete.
    """
    on_disk = Run.at(run_folder(results, run))
    records = await asyncio.to_thread(on_disk.step_records) if on_disk else {}
    comparison = await asyncio.to_thread(_compare, session, on_disk, records) if on_disk else None
    chats = session.config.variants[variant].chats
    calls = await asyncio.to_thread(on_disk.call_records) if on_disk else {}
    counted = {call.inference_id for call in answered_calls(records, calls)}
    ids = on_disk.manifest.run_ids if on_disk else None
    rows = _of_variant(await asyncio.to_thread(_stored_episodes, session, run, ids), variant)
    inferences: dict[str, list[StoredInference]] = {}
    plain = [gateway_name(variant), *([CHAT_VARIANT] if chats else [])]
    served = [served_as(name, row.model) for name in plain for row in rows]
    for name in dict.fromkeys([*plain, *served]):
        for inference in await session.stored_inferences(name, run, chats=chats):
            if not counted or inference.inference_id in counted:
                inferences.setdefault(inference.episode_id, []).append(inference)
    episodes = []
    for row in rows:
        of_episode = inferences.get(row.episode_id, [])
        steps = _inference_steps(of_episode)
        if chats:
            steps = _chat_steps(of_episode, records.get(row.episode_id, []))
        episode = _source_episode(row, steps, comparison)
        if not records:
            episode = replace(episode, orphans=len(of_episode) - len(steps))
        episodes.append(episode)
    return episodes


def _compare(session: Session, run: Run, records: Mapping[str, list[StepRecord]]) -> Completeness:
    with contextlib.closing(session.clickhouse()) as client:
        stored = stored_steps(client, run.manifest.run_ids)
    if records:
        return compare_steps(answered_calls(records, run.call_records()), stored)
    # The steps of the journal were moved away: ClickHouse alone says what it holds whole.
    episodes = {row.episode_id for row in stored.values()}
    partial = {row.episode_id for row in stored.values() if not row.whole}
    return Completeness(frozenset(episodes - partial), missing={}, orphans={})


def _stored_episodes(session: Session, run: str, ids: Sequence[str] | None) -> list[EpisodeRecord]:
    with contextlib.closing(session.clickhouse()) as client:
        return stored_episodes(client, run, ids)


def _of_variant(rows: Iterable[EpisodeRecord], variant: str) -> list[EpisodeRecord]:
    return [row for row in rows if row.variant == variant and row.status == "ok"]


def _source_episode(
    row: EpisodeRecord, steps: tuple[SourceStep, ...], comparison: Completeness | None
) -> SourceEpisode:
    """The episode, judged by the `comparison` of journal and ClickHouse (None without a journal)."""
    numbers = [s.step for s in steps]
    # An agent of Python code may call several times a step, or not at all.
    chats = any(s.messages is not None for s in steps)
    complete = numbers == list(range(row.episode_length)) or (chats and len(numbers) == row.calls)
    if comparison is None:
        return SourceEpisode(row, steps, complete=complete, orphans=0)
    return SourceEpisode(
        row,
        steps,
        complete=complete and row.episode_id in comparison.complete,
        orphans=len(comparison.orphans.get(row.episode_id, ())),
    )


def journal_steps(
    row: EpisodeRecord, records: Sequence[StepRecord], *, dialogue: bool = False
) -> tuple[SourceStep, ...]:
    """The steps of the episode `row`, in order, from its journal `records`. `dialogue`: of its variant."""
    length = row.history_length
    mission = Playback(row.task, seed=row.seed, num_dists=row.num_dists).mission
    prompts = (
        step_prompt(mission, record.observation, records[:i], length=length, dialogue=dialogue)
        for i, record in enumerate(records)
    )
    return tuple(
        SourceStep(
            inference_id=record.inference_id,
            step=record.step,
            arguments=prompt.arguments,
            answer=record.answer,
            action=record.action,
            valid=record.valid,
            earlier=prompt.earlier,
        )
        for record, prompt in zip(records, prompts, strict=True)
    )


def _chat_steps(
    inferences: Iterable[StoredInference], records: Sequence[StepRecord]
) -> tuple[SourceStep, ...]:
    """The calls of an agent of Python code, in order; what its steps did is in the journal's `records`."""
    by_number = {record.step: record for record in records}
    places = sorted(inferences, key=lambda i: (int(i.tags["step"]), int(i.tags.get("call", "0"))))
    return tuple(
        SourceStep(
            inference_id=inference.inference_id,
            step=record.step,
            arguments={},
            answer=inference.raw,
            action=record.action,
            valid=record.valid,
            messages=inference.messages,
        )
        for inference in places
        if (record := by_number.get(int(inference.tags["step"]))) is not None
    )


def _inference_steps(inferences: Iterable[StoredInference]) -> tuple[SourceStep, ...]:
    """The steps of an episode, in order, from its stored inferences."""
    by_step: dict[int, list[StoredInference]] = {}
    for inference in inferences:
        by_step.setdefault(int(inference.tags["step"]), []).append(inference)
    steps = []
    for number, (inference, *others) in sorted(by_step.items()):
        if others:
            # Without a journal nothing says which of them counted.
            continue
        decision = decide(inference.parsed)
        steps.append(
            SourceStep(
                inference_id=inference.inference_id,
                step=number,
                arguments=inference.arguments,
                answer=inference.raw,
                action=decision.action,
                valid=decision.valid,
                earlier=inference.earlier,
            )
        )
    return tuple(steps)
