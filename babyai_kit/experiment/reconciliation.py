"""Journal and ClickHouse side by side: what the gateway answered and what it stored.

What can be repaired is repaired: feedback that is missing is sent again. Steps that the gateway answered but
never stored cannot be sent again; they are counted by episode.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from babyai_kit.errors import ServiceError, StoreError
from babyai_kit.experiment.feedback import send_feedback
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.metrics import metrics
from babyai_kit.runs.records import EpisodeRecord, StepRecord
from babyai_kit.runs.run import Run
from babyai_kit.store.completeness import compare_steps
from babyai_kit.store.queries import stored_feedback, stored_steps

PATIENCE_S = 10.0
"""How long rows may take to become visible before they count as missing, and a store to answer."""

POLL_S = 0.4
"""Between two looks at the store."""

MAX_CONCURRENCY = 16
"""Episodes whose feedback is sent at the same time."""

T = TypeVar("T")


@dataclass(frozen=True)
class Reconciliation:
    """The result of a comparison; every count is of this run alone."""

    steps: int
    """Steps in the journal."""
    missing: dict[str, list[int]] = field(default_factory=dict)
    """By episode_id, the steps that ClickHouse does not hold (or not whole)."""
    orphans: dict[str, list[str]] = field(default_factory=dict)
    """By episode_id, the inference_ids that are stored and that no journalled step names."""
    mismatched: list[str] = field(default_factory=list)
    """inference_ids whose stored tokens differ from the journal's."""
    feedback_sent: int = 0
    """Episodes whose missing feedback was sent now."""
    unreachable: list[str] = field(default_factory=list)
    """Finished episodes that could get no feedback; they are in the journal alone."""

    @property
    def clean(self) -> bool:
        """True if ClickHouse holds exactly what the journal holds."""
        return not (self.missing or self.orphans or self.mismatched or self.unreachable)

    def as_json(self) -> dict[str, Any]:
        """Its fields, `text` (the same in words) and `compared` (when)."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return asdict(self) | {"clean": self.clean, "text": str(self), "compared": now}

    def __str__(self) -> str:
        missing = sum(map(len, self.missing.values()))
        parts = [f"{self.steps} steps in the journal, {missing} of them missing in ClickHouse"]
        parts.append(f"{sum(map(len, self.orphans.values()))} orphans")
        if self.mismatched:
            parts.append(f"{len(self.mismatched)} with other token counts")
        if self.feedback_sent:
            parts.append(f"feedback of {self.feedback_sent} episodes sent again")
        if self.unreachable:
            parts.append(f"{len(self.unreachable)} episodes without feedback: {', '.join(self.unreachable)}")
        return "; ".join(parts)


async def reconcile(
    session: Session,
    ids: Sequence[str],
    steps: Sequence[StepRecord],
    episodes: Sequence[EpisodeRecord],
    *,
    patience_s: float = PATIENCE_S,
) -> Reconciliation:
    """Compare the journal's `steps` and finished `episodes` with ClickHouse, and repair the feedback.

    `ids`: the run's ids in ClickHouse (see `Manifest.run_ids`). Waits up to `patience_s` seconds for a store
    that is away and for rows under way. Raises StoreError if ClickHouse stays away.
    """
    await _until_it_answers(session, patience_s)
    client = await asyncio.to_thread(session.clickhouse)

    async def feedback_owed(of: Iterable[EpisodeRecord]) -> list[EpisodeRecord]:
        feedback = await asyncio.to_thread(stored_feedback, client, ids)
        return [e for e in of if not feedback.get(e.episode_id, set()) >= set(metrics(e))]

    try:
        stored = await _until(
            lambda: asyncio.to_thread(stored_steps, client, ids),
            lambda rows: not compare_steps(steps, rows).missing,
            patience_s,
        )
        compared = compare_steps(steps, stored)
        reachable = {row.episode_id for row in stored.values()}
        owed = await feedback_owed(e for e in episodes if e.status == "ok")
        if owed:
            # What was sent a moment ago is not yet seen, and would be stored twice.
            await session.flush()
            owed = await feedback_owed(owed)
        sent = [e for e in owed if e.episode_id in reachable]
        await _send_all(session, sent, ids[0])
        lost = []
        if sent:
            lost = await _until(lambda: feedback_owed(sent), lambda rows: not rows, patience_s)
    finally:
        await asyncio.to_thread(client.close)
    return Reconciliation(
        steps=len(steps),
        missing=compared.missing,
        orphans=compared.orphans,
        mismatched=[
            s.inference_id
            for s in steps
            if (row := stored.get(s.inference_id))
            and (row.input_tokens, row.output_tokens) != (s.input_tokens, s.output_tokens)
        ],
        feedback_sent=len(sent) - len(lost),
        unreachable=[e.episode_id for e in owed if e.episode_id not in reachable]
        + [e.episode_id for e in lost],
    )


async def reconcile_run(session: Session, run: str, *, results: str | Path = "results") -> Reconciliation:
    """Reconcile the run on disk under `results`. Raises InputError if there is none."""
    opened = Run.open(run, results=results)
    with Journal(opened.folder) as journal:
        steps = [step for episode in opened.step_records().values() for step in episode]
        episodes = list(opened.episode_records().values())
        reconciliation = await reconcile(session, opened.manifest.run_ids, steps, episodes)
        journal.write_reconciliation(reconciliation.as_json())
        return reconciliation


async def _until_it_answers(session: Session, patience_s: float) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    while not await session.store_answers():
        await session.revive_store()
        if loop.time() > give_up:
            raise StoreError(
                "ClickHouse does not answer; when it is back, run: python -m babyai_kit reconcile RUN",
                kind="store",
            )
        await asyncio.sleep(POLL_S)


async def _until(read: Callable[[], Awaitable[T]], is_good: Callable[[T], bool], patience_s: float) -> T:
    """The result of `read` once it is good, or after `patience_s` seconds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    while True:
        rows = await read()
        if is_good(rows) or loop.time() > give_up:
            return rows
        await asyncio.sleep(POLL_S)


async def _send_all(session: Session, episodes: Sequence[EpisodeRecord], run_id: str) -> None:
    limit = asyncio.Semaphore(MAX_CONCURRENCY)

    async def send(episode: EpisodeRecord) -> None:
        # What fails is found missing afterwards.
        async with limit:
            with contextlib.suppress(ServiceError):
                await send_feedback(session, episode, run_id)

    await asyncio.gather(*map(send, episodes))
