"""Shards of a run, joined into the run: what engines that spread work leave behind.

Knows folders and journals; runs nothing. Joining twice adds nothing.
"""

from __future__ import annotations

from pathlib import Path

from babyai_kit.errors import InputError
from babyai_kit.runs.journal import (
    Journal,
    read_episodes,
    read_registrations,
    read_run,
    read_steps,
    run_folder,
)
from babyai_kit.runs.manifest import run_ids
from babyai_kit.runs.records import Registration


def merge(run: str, *, results: str | Path = "results") -> int:
    """Append what the shards of `run` hold and the run does not; return the number of episodes added.

    Raises InputError if there are no shards or they were sampled differently, JournalError if a shard or
    the run is in use.
    """
    folder = run_folder(results, run)
    shards = sorted(path.parent for path in folder.glob("shards/*/run.json"))
    if not shards:
        raise InputError(f"no shards of {run!r} under {results}; run them with --shard first")
    manifests = [read_run(shard) for shard in shards]
    if any(m["sampling"] != manifests[0]["sampling"] for m in manifests):
        raise InputError(f"the shards of {run!r} differ in their sampling; run them again with the same")
    added = 0
    with Journal(folder) as journal:
        whole = read_run(folder) or manifests[0]
        ids = list(dict.fromkeys(i for m in [whole, *manifests] for i in run_ids(m)))
        have_steps, have_episodes = read_steps(folder), read_episodes(folder)
        have_registered = set(read_registrations(folder).values())
        for shard, manifest in zip(shards, manifests, strict=True):
            with Journal(shard):
                for (key, digest), episode_id in read_registrations(shard).items():
                    if episode_id not in have_registered:
                        journal.append(
                            Registration(**vars(key), variant_digest=digest, episode_id=episode_id)
                        )
                for episode_id, steps in read_steps(shard).items():
                    for step in steps[len(have_steps.get(episode_id, ())) :]:
                        journal.append(step)
                for place, episode in read_episodes(shard).items():
                    if have_episodes.get(place) != episode:
                        journal.append(episode)
                        added += 1
            for name in ("digests", "models"):
                whole[name] = manifest[name] | whole[name]
        journal.write_run(whole | {"merged": [i for i in ids if i != whole["run_id"]]})
    return added
