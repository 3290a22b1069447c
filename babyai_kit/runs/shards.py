"""Shards of a run, joined into the run: what engines that spread work leave behind.

Joining twice adds nothing.
"""

from __future__ import annotations

from dataclasses import replace

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError
from babyai_kit.runs.journal import (
    Journal,
    read_calls,
    read_episodes,
    read_registrations,
    read_steps,
    run_folder,
)
from babyai_kit.runs.manifest import Digests, Manifest
from babyai_kit.runs.records import Registration
from babyai_kit.runs.run import Run


def merge(run: str, *, results: StrPath = PROJECT_RESULTS) -> int:
    """Append what the shards of `run` hold and the run does not; return the number of episodes added.

    Raises InputError if there are no shards or they were sampled differently, JournalError if a shard or
    the run is in use.
    """
    folder = run_folder(results, run)
    shards = [shard for path in sorted(folder.glob("shards/*/")) if (shard := Run.at(path))]
    if not shards:
        raise InputError(f"no shards of {run!r} under {results}; run them with --shard first")
    if any(shard.manifest.sampling != shards[0].manifest.sampling for shard in shards):
        raise InputError(f"the shards of {run!r} differ in their sampling; run them again with the same")
    added = 0
    with Journal(folder) as journal:
        whole = Run.at(folder)
        manifest = whole.manifest if whole else shards[0].manifest
        steps, episodes = read_steps(folder), read_episodes(folder)
        registered = set(read_registrations(folder).values())
        ids = list(manifest.run_ids)
        for shard in shards:
            with Journal(shard.folder):
                for (key, digest), episode_id in shard.registrations().items():
                    if episode_id not in registered:
                        journal.append(
                            Registration(**vars(key), variant_digest=digest, episode_id=episode_id)
                        )
                for episode_id, recorded in shard.step_records().items():
                    for step in recorded[len(steps.get(episode_id, ())) :]:
                        journal.append(step)
                known = {(c.episode_id, c.step, c.call) for of in read_calls(folder).values() for c in of}
                for recorded_calls in shard.call_records().values():
                    for call in recorded_calls:
                        if (call.episode_id, call.step, call.call) not in known:
                            journal.append(call)
                for place, episode in shard.episode_records().items():
                    if episodes.get(place) != episode:
                        journal.append(episode)
                        added += 1
            ids += shard.manifest.run_ids
            manifest = replace(
                manifest,
                digests=_digests(manifest, shard.manifest),
                own_models={**shard.manifest.own_models, **manifest.own_models},
                dialects={**shard.manifest.dialects, **manifest.dialects},
                without_history={**shard.manifest.without_history, **manifest.without_history},
                plans=tuple(dict.fromkeys((*manifest.plans, *shard.manifest.plans))),
            )
        merged = tuple(i for i in dict.fromkeys(ids) if i != manifest.run_id)
        journal.write_manifest(replace(manifest, merged=merged))
    return added


def _digests(first: Manifest, second: Manifest) -> Digests:
    """Those of both; of a model that only the second one asked, the second's, which know its dialect."""
    only_second = set(second.dialects) - set(first.dialects)
    joined: dict[str, dict[str, str]] = {}
    for variant in {**second.digests, **first.digests}:
        of_second, of_first = second.digests.get(variant, {}), first.digests.get(variant, {})
        asked = {model: digest for model, digest in of_second.items() if model in only_second}
        joined[variant] = {**of_second, **of_first, **asked}
    return joined
