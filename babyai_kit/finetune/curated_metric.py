"""The metric `curated`, which shows TensorZero's UI the episodes that were chosen.

Knows the metric and the store's tables; nothing of how episodes are chosen. Of several values of one
episode the last counts, in the UI as here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from babyai_kit.gateway.session import Session
from babyai_kit.runs.metrics import CURATED
from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.runs.seed_blocks import check_block
from babyai_kit.store.queries import query

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

AT_ONCE = 16
TICK_S = 1.0


async def mark(session: Session, episodes: Sequence[EpisodeRecord]) -> None:
    """Let exactly `episodes` be curated: true for those that are not yet, false for all others that are.

    Raises InputError for an episode outside the train block.
    """
    check_block((e.seed for e in episodes), "train", "training data")
    client = await asyncio.to_thread(session.clickhouse)
    try:
        held = await asyncio.to_thread(stored_marks, client)
    finally:
        await asyncio.to_thread(client.close)
    chosen = {e.episode_id: {"run": e.run, "task": e.task, "seed": str(e.seed)} for e in episodes}
    due: dict[str, tuple[bool, Mapping[str, str]]] = {
        episode_id: (True, tags) for episode_id, tags in chosen.items() if not held.get(episode_id)
    }
    due |= {e: (False, {}) for e, value in held.items() if value and e not in chosen}
    if due.keys() & held.keys():
        # The gateway tells which of two marks is the later one by the second.
        await asyncio.sleep(TICK_S)
    limit = asyncio.Semaphore(AT_ONCE)

    async def send(episode_id: str, value: bool, tags: Mapping[str, str]) -> None:
        async with limit:
            await session.feedback(CURATED, value, episode_id, tags)

    await asyncio.gather(*(send(episode_id, *what) for episode_id, what in due.items()))
    if due:
        await session.flush()


def stored_marks(client: Client) -> dict[str, bool]:
    """The present value of every episode that was ever marked, by episode_id. Blocks."""
    rows = query(
        client,
        """
        SELECT toString(target_id), argMax(value, toString(id)) FROM BooleanMetricFeedback
        WHERE metric_name = {metric:String} GROUP BY target_id
        """,
        metric=CURATED,
    )
    return {episode_id: bool(value) for episode_id, value in rows}
