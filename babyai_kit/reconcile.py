"""Journal and ClickHouse side by side: what the gateway answered and what it stored.

Knows both records of a run and repairs what can be repaired: feedback that is missing is sent again.
Steps that the gateway answered but never stored cannot be sent again; they are counted by episode.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from babyai_kit.errors import ServiceError
from babyai_kit.feedback import metrics, send_feedback
from babyai_kit.journal import Journal, existing_run, read_episodes, read_steps
from babyai_kit.manifest import run_ids
from babyai_kit.records import EpisodeRecord, StepRecord
from babyai_kit.session import FLUSH_S, Session
from babyai_kit.stored import StoredStep, stored_feedback, stored_steps

PATIENCE_S = 10.0
"""How long rows may take to become visible before they count as missing."""

AT_ONCE = 16
"""Episodes whose feedback is sent at the same time."""


@dataclass(frozen=True)
class Reconciliation:
    """What the comparison found; every count is of this run alone."""

    steps: int
    """Steps in the journal."""
    missing: dict[str, list[int]] = field(default_factory=dict)
    """By episode_id, the steps that ClickHouse does not hold (or not whole)."""
    orphans: dict[str, int] = field(default_factory=dict)
    """By episode_id, stored inferences that no journalled step names."""
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
        """Its fields, `text` (what it says) and `compared` (when)."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return asdict(self) | {"clean": self.clean, "text": str(self), "compared": now}

    def __str__(self) -> str:
        missing = sum(map(len, self.missing.values()))
        parts = [f"{self.steps} steps in the journal, {missing} of them missing in ClickHouse"]
        parts.append(f"{sum(self.orphans.values())} orphans")
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

    `ids`: the run's ids in ClickHouse (see `manifest.run_ids`). Waits up to `patience_s` seconds for rows
    under way. Raises StoreError if ClickHouse is away.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    client = await asyncio.to_thread(session.clickhouse)
    try:
        while True:
            stored = await asyncio.to_thread(stored_steps, client, ids)
            missing = _missing(steps, stored)
            if not missing or loop.time() > give_up:
                break
            await asyncio.sleep(FLUSH_S)
        held = await asyncio.to_thread(stored_feedback, client, ids)
    finally:
        await asyncio.to_thread(client.close)

    journalled = {s.inference_id for s in steps}
    orphans = Counter(row.episode_id for row in stored.values() if row.inference_id not in journalled)
    mismatched = [
        s.inference_id
        for s in steps
        if (row := stored.get(s.inference_id))
        and (row.input_tokens, row.output_tokens) != (s.input_tokens, s.output_tokens)
    ]
    reachable = {row.episode_id for row in stored.values()}
    owed = [e for e in episodes if e.status == "ok" and not held.get(e.episode_id, set()) >= set(metrics(e))]
    limit = asyncio.Semaphore(AT_ONCE)
    sent = await asyncio.gather(
        *(_send(session, e, ids[0], limit) for e in owed if e.episode_id in reachable)
    )
    unreachable = [e.episode_id for e in owed if e.episode_id not in reachable]
    unreachable += [episode_id for episode_id, ok in sent if not ok]
    return Reconciliation(
        steps=len(steps),
        missing=missing,
        orphans=dict(orphans),
        mismatched=mismatched,
        feedback_sent=sum(ok for _, ok in sent),
        unreachable=unreachable,
    )


async def reconcile_run(session: Session, run: str, *, results: str | Path = "results") -> Reconciliation:
    """Reconcile the run on disk under `results`. Raises InputError if there is none."""
    folder, manifest = existing_run(results, run)
    with Journal(folder) as journal:
        steps = [s for episode in read_steps(folder).values() for s in episode]
        episodes = list(read_episodes(folder).values())
        found = await reconcile(session, run_ids(manifest), steps, episodes)
        journal.write_reconciliation(found.as_json())
        return found


def _missing(steps: Sequence[StepRecord], stored: Mapping[str, StoredStep]) -> dict[str, list[int]]:
    missing: dict[str, list[int]] = {}
    for step in steps:
        row = stored.get(step.inference_id)
        if row is None or row.model_calls == 0:
            missing.setdefault(step.episode_id, []).append(step.step)
    return missing


async def _send(
    session: Session, episode: EpisodeRecord, run_id: str, limit: asyncio.Semaphore
) -> tuple[str, bool]:
    async with limit:
        try:
            await send_feedback(session, episode, run_id)
        except ServiceError:
            return episode.episode_id, False
        return episode.episode_id, True
