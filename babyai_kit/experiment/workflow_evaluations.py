"""Workflow evaluations: how TensorZero's UI compares variants, task by task.

Each variant of a run is a workflow evaluation run, and each episode is registered with it under its task and
seed, so that the UI lays equal episodes side by side. Ids are created once and journalled before the first
call; a resumed run uses them again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from babyai_kit.experiment.episode import PlannedEpisode
from babyai_kit.experiment.retries import Retries
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import EpisodeKey, Registration

PROJECT = "babyai"
"""All runs share one project: the UI compares within a project only."""


def task_name(key: EpisodeKey) -> str:
    """What two variants' episodes must share to be compared: all of the key but variant, model and run."""
    name = f"{key.task}, seed {key.seed}"
    name += f", {key.num_dists} distractors" if key.num_dists else ""
    return name + (f", repeat {key.repeat}" if key.repeat else "")


async def open_evaluations(
    session: Session, owed: Iterable[PlannedEpisode], manifest: Manifest, persistently: Retries
) -> dict[str, str]:
    """Ids of the workflow evaluation runs by `variant:digest:model`, those of `manifest` among them.

    There is one for every variant with an episode that has not begun, under its present prompt and model.
    """
    ids = dict(manifest.workflow_runs)
    for planned in owed:
        key, place = planned.key, evaluation_of(planned)
        if planned.begun or place in ids:
            continue
        tags = {"run": key.run, "run_id": manifest.run_id, "model": key.model}
        ids[place] = await persistently(
            session.start_evaluation, key.variant, PROJECT, f"{key.run}: {key.variant}", tags
        )
    return ids


def evaluation_of(planned: PlannedEpisode) -> str:
    """The place of an episode's evaluation run among the manifest's."""
    return f"{planned.key.variant}:{planned.variant_digest}:{planned.key.model}"


class Registrar:
    """Gives an episode that has not begun its id from the gateway, and journals it."""

    def __init__(self, session: Session, journal: Journal, evaluation_ids: Mapping[str, str]) -> None:
        self._session = session
        self._journal = journal
        self._ids = evaluation_ids

    async def register(self, planned: PlannedEpisode, persistently: Retries) -> PlannedEpisode:
        """`planned` under the id of its registration.

        Raises ServiceError if the gateway keeps failing, and what `persistently` raises.
        """
        evaluation_id = self._ids.get(evaluation_of(planned))
        if planned.begun or evaluation_id is None:
            return planned
        key = planned.key
        episode_id = await persistently(
            self._session.start_evaluated_episode, evaluation_id, task_name(key), {"run": key.run}
        )
        self._journal.append(
            Registration(**vars(key), variant_digest=planned.variant_digest, episode_id=episode_id)
        )
        return dataclasses.replace(planned, episode_id=episode_id, registered=True)
