"""Workflow evaluations: how TensorZero's UI compares variants, task by task.

Knows runs, tasks and the ids that the gateway gives; plays nothing. Each variant of a run is a workflow
evaluation run, and each episode is registered with it under its task and seed, so that the UI lays equal
episodes side by side. Ids are made once and journalled before the first call; a resumed run uses them again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from babyai_kit.errors import ServiceError
from babyai_kit.experiment.episode import PlannedEpisode
from babyai_kit.experiment.retries import retrying
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.records import EpisodeKey, Registration

PROJECT = "babyai"
"""All runs share one project: the UI compares within a project only."""


def task_name(key: EpisodeKey) -> str:
    """What two variants' episodes must share to be compared: all of the key but variant, model and run."""
    name = f"{key.task}, seed {key.seed}"
    name += f", {key.num_dists} distractors" if key.num_dists else ""
    return name + (f", repeat {key.repeat}" if key.repeat else "")


async def open_evaluations(
    session: Session,
    owed: Iterable[PlannedEpisode],
    manifest: dict[str, Any],
    told: Callable[[ServiceError], None] = lambda error: None,
) -> dict[str, str]:
    """Ids of the workflow evaluation runs by variant, for every variant with an episode that is not begun.

    Those of the `manifest` are used again while prompt and model are the same; new ones are added to it.
    `told` gets each failure that is waited for.
    """
    known: dict[str, Any] = manifest["workflow_runs"]
    ids: dict[str, str] = {}
    for planned in owed:
        key = planned.key
        if planned.begun or key.variant in ids:
            continue
        place = f"{key.variant}:{planned.variant_digest}:{key.model}"
        if place not in known:
            tags = {"run": key.run, "run_id": manifest["run_id"], "model": key.model}
            async for attempt in retrying(told):
                with attempt:
                    known[place] = await session.start_evaluation(
                        key.variant, PROJECT, f"{key.run}: {key.variant}", tags
                    )
        ids[key.variant] = known[place]
    return ids


class Registrar:
    """Gives an episode that is not begun its id from the gateway, and journals it."""

    def __init__(self, session: Session, journal: Journal, evaluation_ids: dict[str, str]) -> None:
        self._session = session
        self._journal = journal
        self._ids = evaluation_ids

    async def register(
        self, planned: PlannedEpisode, told: Callable[[ServiceError], None] = lambda error: None
    ) -> PlannedEpisode:
        """`planned` under the id of its registration; `told` gets each failure that is waited for.

        Raises ServiceError if the gateway keeps failing, and what `told` raises.
        """
        if planned.begun or planned.key.variant not in self._ids:
            return planned
        async for attempt in retrying(told):
            with attempt:
                episode_id = await self._session.start_evaluated_episode(
                    self._ids[planned.key.variant], task_name(planned.key), {"run": planned.key.run}
                )
        self._journal.append(
            Registration(**vars(planned.key), variant_digest=planned.variant_digest, episode_id=episode_id)
        )
        return dataclasses.replace(planned, episode_id=episode_id, registered=True)
