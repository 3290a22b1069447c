"""Workflow evaluations: how TensorZero's UI compares variants, task by task.

Each variant of a run is a workflow evaluation run (and another one under each other history length or number
of distractors, so that no mean mixes them), and each episode is registered with it under its task and
seed, so that the UI lays equal episodes side by side. Ids are created once and journalled before the first
call; a resumed run uses them again. At the end of a run, the UI's page that compares its variants is shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable

from babyai_kit.configuration.ui_pages import MAX_COMPARED, comparison_page
from babyai_kit.configuration.variants import CHAT_FUNCTION, FUNCTION
from babyai_kit.experiment.links import show_link
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.experiment.retries import Retries
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import EpisodeKey, Registration

PROJECT = "babyai"
"""All runs share one project: the UI compares within a project only."""


def task_name(key: EpisodeKey, *, seed_first: bool = True) -> str:
    """What two variants' episodes must share to be compared, such as `seed 3, goto`.

    The UI cuts it at about 20 characters, so that what differs most within a run stands first; a repeat but
    the first is a number after the seed, `seed 3 #1, goto`. `seed_first` is the manifest's.
    """
    distractors = f", {key.num_dists} distractors" if key.num_dists else ""
    if seed_first:
        repeat = f" #{key.repeat}" if key.repeat else ""
        return f"seed {key.seed}{repeat}, {key.task}{distractors}"
    repeat = f", repeat {key.repeat}" if key.repeat else ""
    return f"{key.task}, seed {key.seed}{distractors}{repeat}"


async def open_evaluations(
    session: Session,
    owed: Iterable[PlannedEpisode],
    manifest: Manifest,
    persistently: Retries,
    *,
    chats: Collection[str] = (),
) -> dict[str, str]:
    """Ids of the workflow evaluation runs by place (see `Evaluated`), those of `manifest` among them.

    `chats`: the variants that are agents of Python code. There is one for every variant with an episode that
    has not begun, under its present prompt and model.
    """
    ids = dict(manifest.workflow_runs)
    for planned in owed:
        key, evaluated = planned.key, Evaluated.of(planned, manifest)
        if planned.begun or evaluated.place in ids:
            continue
        tags = {"run": key.run, "run_id": manifest.run_id, "model": key.model}
        ids[evaluated.place] = await persistently(
            session.start_evaluation,
            {CHAT_FUNCTION if key.variant in chats else FUNCTION: planned.served_as or key.variant},
            PROJECT,
            f"{key.run}: {evaluated.name}",
            tags,
        )
    return ids


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What one workflow evaluation run evaluates."""

    variant: str
    digest: str
    model: str
    settings: str
    """Those that differ from the first plan of the run, such as `history 4`; mostly empty."""
    agent: str = ""
    """The gateway's name of variant and model, where a plan has several models."""

    @classmethod
    def of(cls, planned: PlannedEpisode, manifest: Manifest) -> Evaluated:
        key = planned.key
        settings = _settings(manifest, key.history_length, key.num_dists)
        return cls(key.variant, planned.variant_digest, key.model, settings, planned.served_as)

    @property
    def place(self) -> str:
        """Its place among the manifest's workflow runs."""
        return ":".join(filter(None, (self.variant, self.digest, self.model, self.settings)))

    @property
    def name(self) -> str:
        """As the UI shows it, after the run's name."""
        return ", ".join(filter(None, (self.agent or self.variant, self.settings)))


def _settings(manifest: Manifest, history_length: int, num_dists: int) -> str:
    first = manifest.plans[0]
    # 0 is the key's of a variant that shows no history.
    history = "" if history_length in (0, first.history_length) else f"history {history_length}"
    distractors = "" if num_dists == first.num_dists else f"distractors {num_dists}"
    return ", ".join(filter(None, (history, distractors)))


def show_comparison(manifest: Manifest, ui_url: str) -> None:
    """Show the page of the UI at `ui_url` that compares the variants of the manifest's latest command.

    The page compares so many at once as MAX_COMPARED; of more, the first are chosen.
    """
    plan, found = manifest.plan, manifest.workflow_runs
    ids = []
    for variant, model in plan.agents(manifest.own_models):
        digest = manifest.digests[variant][model]
        settings = (_settings(manifest, length, plan.num_dists) for length in (plan.history_length, 0))
        places = [Evaluated(variant, digest, model, text).place for text in settings]
        ids += [found[place] for place in places if place in found][:1]
    if ids:
        first = f" (the first {MAX_COMPARED} of {len(ids)})" if len(ids) > MAX_COMPARED else ""
        show_link(f"Compare the variants in TensorZero's UI{first}", comparison_page(ui_url, PROJECT, ids))


class Registrar:
    """Gives an episode that has not begun its id from the gateway, and journals it.

    `manifest`: as it is now, with the evaluations that are open.
    """

    def __init__(self, session: Session, journal: Journal, manifest: Callable[[], Manifest]) -> None:
        self._session = session
        self._journal = journal
        self._manifest = manifest

    async def register(self, planned: PlannedEpisode, persistently: Retries) -> PlannedEpisode:
        """`planned` under the id of its registration.

        Raises ServiceError if the gateway keeps failing, and what `persistently` raises.
        """
        manifest = self._manifest()
        evaluation_id = manifest.workflow_runs.get(Evaluated.of(planned, manifest).place)
        if planned.begun or evaluation_id is None:
            return planned
        key = planned.key
        episode_id = await persistently(
            self._session.start_evaluated_episode,
            evaluation_id,
            task_name(key, seed_first=manifest.seed_first),
            {"run": key.run},
        )
        self._journal.append(
            Registration(**vars(key), variant_digest=planned.variant_digest, episode_id=episode_id)
        )
        return dataclasses.replace(planned, episode_id=episode_id, registered=True)
