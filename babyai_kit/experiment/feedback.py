"""Sending an episode's outcome, in the form of `runs.metrics`, to the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from babyai_kit.gateway.session import Session
from babyai_kit.runs.metrics import CARRIER, metrics, to_tags
from babyai_kit.runs.records import EpisodeRecord


async def send_feedback(
    session: Session, episode: EpisodeRecord, run_id: str, *, stored: Collection[str] = ()
) -> None:
    """Send all metrics of a finished episode but those that are `stored` already, concurrently.

    Raises what `Session.feedback` raises, once none is under way any more.
    """
    row = to_tags(episode) | {"run_id": run_id}
    short = {k: row[k] for k in ("run", "run_id", "variant", "task", "seed")}
    outcomes = await asyncio.gather(
        *(
            session.feedback(name, value, episode.episode_id, row if name == CARRIER else short)
            for name, value in metrics(episode).items()
            if name not in stored
        ),
        return_exceptions=True,
    )
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
