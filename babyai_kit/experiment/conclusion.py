"""The end of a command: journal and ClickHouse are compared, and what the table does not show is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from babyai_kit.configuration.variants import Config
from babyai_kit.errors import KitError, ServiceError
from babyai_kit.experiment.outcome import Outcome, closing_notes, invalid_answers
from babyai_kit.experiment.reconciliation import Reconciliation, reconcile
from babyai_kit.gateway.session import Session
from babyai_kit.runs.episode_table import to_frame
from babyai_kit.runs.journal import Journal, read_calls, read_reconciliation, read_steps
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import CallRecord, EpisodeRecord, StepRecord, answered_calls


async def conclude(
    session: Session,
    journal: Journal,
    config: Config,
    manifest: Manifest,
    records: Sequence[EpisodeRecord],
    *,
    planned: int,
    stops: tuple[KitError, ...],
) -> Outcome:
    """The outcome of a command whose plan of `planned` episodes has these `records`, told and recorded.

    `stops`: see `Outcome`. Raises JournalError.
    """
    steps, compared = read_steps(journal.folder), read_reconciliation(journal.folder)
    calls = answered_calls(steps, read_calls(journal.folder))
    reconciliation = await _reconciliation(session, manifest, calls, records)
    if reconciliation:
        journal.write_reconciliation(reconciliation.as_json())
    answered = [step for episode in steps.values() for step in episode]
    present = [s for s in answered if manifest.is_present(s.variant, s.model, s.variant_digest)]
    chats = {name for name, variant in config.variants.items() if variant.chats}
    silent = {name for name in manifest.plan.variants if not config.variants[name].asks_reasoning}
    outcome = Outcome(
        episodes=to_frame(records),
        planned=planned,
        stops=stops,
        reconciliation=reconciliation,
        invalid=invalid_answers(present, chats=chats),
        unasked_reasoning=Counter(s.variant for s in answered if s.thinking and s.variant in silent),
    )
    for note in closing_notes(outcome, compared, session.reconcile_line):
        print(note)
    return outcome


async def _reconciliation(
    session: Session,
    manifest: Manifest,
    calls: Sequence[StepRecord | CallRecord],
    records: Sequence[EpisodeRecord],
) -> Reconciliation | None:
    try:
        return await reconcile(session, manifest.run_ids, calls, records)
    except ServiceError as error:
        print(f"Not compared with ClickHouse: {error}")
        return None
