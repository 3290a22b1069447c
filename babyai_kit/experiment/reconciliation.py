"""Journal and ClickHouse side by side: what the gateway answered and what it stored.

What can be repaired is repaired: feedback that is missing is sent again. Steps that the gateway answered but
never stored cannot be sent again; they are counted by episode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any, TypeVar

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import GatewayAway, ServiceError
from babyai_kit.experiment.away import POLL_S, until_gateway_answers, until_store_answers
from babyai_kit.experiment.feedback import send_feedback
from babyai_kit.gateway.session import Session
from babyai_kit.runs.commands import command_line
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.metrics import metrics
from babyai_kit.runs.records import CallRecord, EpisodeRecord, StepRecord, answered_calls
from babyai_kit.runs.run import Run
from babyai_kit.store.completeness import compare_steps
from babyai_kit.store.queries import StoredStep, stored_feedback, stored_steps

PATIENCE_S = 10.0
"""How long rows may take to become visible before they count as missing."""

MAX_CONCURRENCY = 16
"""Episodes whose feedback is sent at the same time."""

MAX_ROUNDS = 5
"""How often feedback is sent again because the gateway went away meanwhile."""

T = TypeVar("T")


@dataclass(frozen=True)
class Reconciliation:
    """The result of a comparison; every count is of this run alone."""

    steps: int
    """Steps in the journal."""
    missing: dict[str, list[int]] = field(default_factory=dict)
    """By episode_id, the steps that ClickHouse does not hold."""
    orphans: dict[str, list[str]] = field(default_factory=dict)
    """By episode_id, the inference_ids that are stored and that no journalled step names."""
    mismatched: list[str] = field(default_factory=list)
    """inference_ids whose stored tokens differ from the journal's."""
    feedback_sent: int = 0
    """Episodes whose missing feedback was sent now."""
    unreachable: list[str] = field(default_factory=list)
    """Finished episodes that could get no feedback; they are in the journal alone."""
    partial: dict[str, list[int]] = field(default_factory=dict)
    """By episode_id, the steps that are stored without their model call or their place in the index."""

    @property
    def clean(self) -> bool:
        """True if ClickHouse holds exactly what the journal holds."""
        return not (self.missing or self.partial or self.orphans or self.mismatched or self.unreachable)

    def as_json(self) -> dict[str, Any]:
        """Its fields, `text` (the same in words) and `compared` (when)."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return asdict(self) | {"clean": self.clean, "text": str(self), "compared": now}

    def __str__(self) -> str:
        missing = sum(map(len, self.missing.values()))
        parts = [f"{self.steps} steps in the journal, {missing} of them missing in ClickHouse"]
        if self.partial:
            parts.append(
                f"{sum(map(len, self.partial.values()))} stored in part, without their model call or index, "
                "as after a crash of the gateway or of ClickHouse (the journal has their tokens and cost)"
            )
        parts.append(f"{sum(map(len, self.orphans.values()))} orphans")
        if self.mismatched:
            parts.append(f"{len(self.mismatched)} with other token counts")
        if self.feedback_sent:
            parts.append(f"feedback of {self.feedback_sent} episodes sent again")
        if self.unreachable:
            parts.append(f"{len(self.unreachable)} episodes without feedback: {', '.join(self.unreachable)}")
        return "; ".join(parts)


@dataclass(frozen=True)
class _Owed:
    """A finished episode, and its metrics that are stored; there are more."""

    episode: EpisodeRecord
    stored: frozenset[str]


async def reconcile(
    session: Session,
    ids: Sequence[str],
    steps: Sequence[StepRecord | CallRecord],
    episodes: Sequence[EpisodeRecord],
    *,
    patience_s: float = PATIENCE_S,
) -> Reconciliation:
    """Compare the journal's `steps` and finished `episodes` with ClickHouse, and repair the feedback.

    `ids`: the run's ids in ClickHouse (see `Manifest.run_ids`). Waits up to `patience_s` seconds for rows
    under way, and longer for a store or a gateway that is away. Raises StoreError if ClickHouse stays away.
    """
    await until_store_answers(session)
    client = await asyncio.to_thread(session.clickhouse)

    async def feedback_owed(of: Iterable[EpisodeRecord]) -> list[_Owed]:
        feedback = await asyncio.to_thread(stored_feedback, client, ids)
        owed = [_Owed(e, frozenset(feedback.get(e.episode_id, ()))) for e in of]
        return [o for o in owed if not o.stored >= set(metrics(o.episode))]

    try:
        stored = await _until(
            lambda: asyncio.to_thread(stored_steps, client, ids),
            lambda rows: not (compare_steps(steps, rows).missing or compare_steps(steps, rows).partial),
            patience_s,
        )
        compared = compare_steps(steps, stored)
        reachable = {row.episode_id for row in stored.values()}
        owed = await feedback_owed(e for e in episodes if e.status == "ok" and e.asked)
        if owed:
            # What was sent a moment ago is not yet seen, and would be stored twice.
            await session.flush()
            owed = await feedback_owed(o.episode for o in owed)
        lost = sent = [o for o in owed if o.episode.episode_id in reachable]
        for _ in range(MAX_ROUNDS):
            if not lost or not await until_gateway_answers(session):
                break
            went_away = await _send_all(session, lost, ids[0])
            of = [o.episode for o in lost]
            lost = await _until(partial(feedback_owed, of), lambda rows: not rows, patience_s)
            if not went_away:
                break
    finally:
        await asyncio.to_thread(client.close)
    return Reconciliation(
        steps=len(steps),
        missing=compared.missing,
        orphans=compared.orphans,
        mismatched=[s.inference_id for s in steps if _differs(s, stored.get(s.inference_id))],
        feedback_sent=len(sent) - len(lost),
        unreachable=[o.episode.episode_id for o in owed if o not in sent]
        + [o.episode.episode_id for o in lost],
        partial=compared.partial,
    )


async def reconcile_run(session: Session, run: str, *, results: StrPath = PROJECT_RESULTS) -> Reconciliation:
    """Reconcile the run on disk under `results`. Raises InputError if there is none."""
    opened = Run.open(run, results=results)
    session.reconcile_line = command_line("reconcile", run, results=results)
    with Journal(opened.folder) as journal:
        steps = answered_calls(opened.step_records(), opened.call_records())
        episodes = list(opened.episode_records().values())
        reconciliation = await reconcile(session, opened.manifest.run_ids, steps, episodes)
        journal.write_reconciliation(reconciliation.as_json())
        return reconciliation


def _differs(step: StepRecord | CallRecord, row: StoredStep | None) -> bool:
    """True if ClickHouse holds other tokens than the journal; null there is 0 here."""
    if row is None or not row.model_calls:
        return False
    stored, own = (row.input_tokens, row.output_tokens), (step.input_tokens, step.output_tokens)
    return [count or 0 for count in stored] != [count or 0 for count in own]


async def _until(read: Callable[[], Awaitable[T]], is_good: Callable[[T], bool], patience_s: float) -> T:
    """The result of `read` once it is good, or after `patience_s` seconds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    while True:
        rows = await read()
        if is_good(rows) or loop.time() > give_up:
            return rows
        await asyncio.sleep(POLL_S)


async def _send_all(session: Session, owed: Sequence[_Owed], run_id: str) -> bool:
    """Send what is owed; True if the gateway went away meanwhile."""
    limit = asyncio.Semaphore(MAX_CONCURRENCY)

    async def send(one: _Owed) -> bool:
        # What fails is found missing afterwards.
        async with limit:
            try:
                await send_feedback(session, one.episode, run_id, stored=one.stored)
            except ServiceError as error:
                return isinstance(error, GatewayAway)
            return False

    return any(await asyncio.gather(*map(send, owed)))
