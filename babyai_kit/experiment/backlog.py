"""What a run still owes: the plan against its journal.

An episode counts as done only under the present prompt and model; otherwise it starts anew under a new id,
and its old steps stay in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from babyai_kit.configuration.variants import Config
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.runs.records import CallRecord, EpisodeKey, EpisodeRecord, StepRecord


@dataclass(frozen=True)
class Backlog:
    """The plan, divided."""

    done: list[EpisodeRecord]
    owed: list[PlannedEpisode]
    """With the steps that are already answered, in the order of the plan."""


def divide(
    config: Config,
    keys: Iterable[EpisodeKey],
    episodes: Mapping[tuple[EpisodeKey, str], EpisodeRecord],
    steps: Mapping[str, Sequence[StepRecord]],
    registered: Mapping[tuple[EpisodeKey, str], str],
    *,
    run_id: str,
    calls: Mapping[str, Sequence[CallRecord]] | None = None,
    history_length: int | None = None,
    new_episode_id: Callable[[], str],
    served_as: Mapping[tuple[str, str], str] | None = None,
) -> Backlog:
    """Divide the planned `keys` by what the journal's `episodes`, `steps` (by episode_id) and `registered`
    ids of workflow evaluations hold. `history_length`: the plan's, of the steps sent with a call.
    `served_as`: the gateway's name of each (variant, model), if it is not the variant's.

    An episode that ended by an error is owed again, from its steps; so is one whose last steps were torn off
    the file.
    """
    calls = calls or {}
    begun = {(s[0].key, s[0].variant_digest): episode_id for episode_id, s in steps.items()}
    begun |= {(c[0].key, c[0].variant_digest): episode_id for episode_id, c in calls.items() if c}
    begun = {**registered, **begun}
    backlog = Backlog([], [])
    for key in keys:
        digest = config.digest(key.variant, key.model)
        record = episodes.get((key, digest))
        episode_id = begun.get((key, digest))
        if record and record.status == "ok" and not _torn(record, steps.get(record.episode_id, ())):
            backlog.done.append(record)
            continue
        backlog.owed.append(
            PlannedEpisode(
                key=key,
                variant_digest=digest,
                episode_id=episode_id or new_episode_id(),
                steps=_gapless(steps.get(episode_id, ())) if episode_id else (),
                calls=tuple(calls.get(episode_id, ())) if episode_id else (),
                tags=_tags(key, digest, run_id),
                sent_history=history_length,
                served_as=(served_as or {}).get((key.variant, key.model), ""),
                registered=episode_id is not None and registered.get((key, digest)) == episode_id,
            )
        )
    return backlog


def _torn(record: EpisodeRecord, steps: Sequence[StepRecord]) -> bool:
    """True if some of the episode's steps are there and others are not; without any, the file was moved."""
    return 0 < len(steps) < record.episode_length


def _gapless(steps: Sequence[StepRecord]) -> tuple[StepRecord, ...]:
    """The steps before the first that is missing, as after a line deleted by hand."""
    return tuple(s for i, s in enumerate(steps) if s.step == i)


def _tags(key: EpisodeKey, digest: str, run_id: str) -> dict[str, str]:
    """How an inference is found again in ClickHouse and in the UI; its variant is a column there."""
    return {
        "run": key.run,
        "run_id": run_id,
        "model": key.model,
        "task": key.task,
        "num_dists": str(key.num_dists),
        "seed": str(key.seed),
        "repeat": str(key.repeat),
        "history_length": str(key.history_length),
        "variant_digest": digest,
    }
