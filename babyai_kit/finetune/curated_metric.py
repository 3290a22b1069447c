"""The metric `curated`, by which TensorZero's UI finds the episodes that were chosen.

Where an episode has several values, the last one counts, in the UI as in this module.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from babyai_kit.gateway.session import Session
from babyai_kit.runs.metrics import CURATED
from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.runs.seed_blocks import check_block
from babyai_kit.store.queries import query

TICK_S = 1.0
"""The gateway orders the values of one metric and episode by the second."""


async def mark_as_curated(
    session: Session, episodes: Sequence[EpisodeRecord], *, max_concurrency: int = 16
) -> None:
    """Make `episodes` the curated ones and no others; only values that change are sent.

    Raises InputError for an episode outside the train block.
    """
    check_block((e.seed for e in episodes), "train", "training")
    current = await asyncio.to_thread(_current_values, session)
    chosen = {e.episode_id: {"run": e.run, "task": e.task, "seed": str(e.seed)} for e in episodes}
    changes: list[tuple[str, bool, Mapping[str, str]]] = [
        (episode_id, True, tags) for episode_id, tags in chosen.items() if not current.get(episode_id)
    ]
    changes += [(e, False, {}) for e, value in current.items() if value and e not in chosen]
    if any(episode_id in current for episode_id, _, _ in changes):
        await asyncio.sleep(TICK_S)
    limit = asyncio.Semaphore(max_concurrency)

    async def send(episode_id: str, value: bool, tags: Mapping[str, str]) -> None:
        async with limit:
            await session.feedback(CURATED, value, episode_id, tags)

    await asyncio.gather(*(send(*change) for change in changes))
    if changes:
        await session.flush()


def _current_values(session: Session) -> dict[str, bool]:
    """The present value of every episode that was ever marked, by episode_id. Blocks."""
    with contextlib.closing(session.clickhouse()) as client:
        rows = query(
            client,
            """
            SELECT toString(target_id), argMax(value, toString(id)) FROM BooleanMetricFeedback
            WHERE metric_name = {metric:String} GROUP BY target_id
            """,
            metric=CURATED,
        )
    return {episode_id: bool(value) for episode_id, value in rows}
