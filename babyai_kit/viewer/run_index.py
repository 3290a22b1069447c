"""One run, followed while it grows: its episodes at once, and where their steps lie as soon as that is known.

All methods block: they are for worker threads.
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import JournalError, NoEpisodeError
from babyai_kit.runs.journal import STEPS, run_folder
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.provenance import Provenance
from babyai_kit.runs.records import CallRecord, EpisodeKey, EpisodeRecord, present
from babyai_kit.runs.trajectories import Trajectory, trajectory_of
from babyai_kit.viewer.contents import Begun, Contents
from babyai_kit.viewer.failure_queue import Failed
from babyai_kit.viewer.run_parts import RunPart, State, last_written, part_folders, state_of

PATIENCE_S = 0.3
"""How long steps are looked for before what is known is shown without them."""


class RunIndex:
    """The run `name` under `results`, which need not be whole."""

    def __init__(self, results: StrPath, name: str) -> None:
        self.name = name
        self.folder = run_folder(results, name)
        self._parts: dict[Path, RunPart] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._locator: threading.Thread | None = None
        self._known: tuple[State, bool] | None = None
        self._contents: Contents | None = None
        self._begun: dict[tuple[str, int], tuple[Begun, str]] = {}
        """What is known of unfinished episodes, and their prompts' digests, by id and size of their lines."""
        self._planned: tuple[tuple[Manifest, ...], tuple[EpisodeKey, ...]] = ((), ())

    def close(self) -> None:
        """Stop looking for steps."""
        self._closed.set()

    @property
    def located(self) -> float:
        """The share of the steps' files in which episodes were looked for, 0 to 1."""
        shares = [part.steps.located for part in self._parts.values()]
        return sum(shares) / len(shares) if shares else 1.0

    def contents(self, *, steps: bool = True) -> Contents:
        """The run as it is now. `steps`: whether to look for unfinished episodes, and for where steps lie."""
        with self._lock:
            state = state_of(self.folder)
            if self._known is None or state != self._known[0]:
                self._refresh()
            known = (state, steps and self._locate())
            if self._contents is None or known != self._known:
                self._contents, self._known = self._read(*known), known
            return self._contents

    def trajectory(self, episode_id: str) -> Trajectory:
        """An episode of the table. Raises NoEpisodeError if there is none, JournalError for damaged steps."""
        contents = self.contents()
        if self._locator is not None:
            self._locator.join()
        record = next((r for r in contents.records.values() if r.episode_id == episode_id), None)
        part = self.part_of(episode_id)
        steps = part.steps.read(episode_id) if part else []
        if record is None and not steps:
            raise NoEpisodeError(f"run {self.name!r} has no episode {episode_id!r}; choose one of its table")
        manifest = (part and part.manifest) or contents.manifest
        file = (part.folder if part else self.folder) / STEPS
        return trajectory_of(record, steps, Provenance(file, manifest.versions if manifest else {}))

    def calls(self, episode_id: str) -> list[CallRecord]:
        """The recorded calls of an episode whose agent may call several times a step. Raises JournalError."""
        part = self.part_of(episode_id)
        if part is None:
            return []
        try:
            part.calls.scan(lambda: False)
        except OSError as error:
            path, reason = part.calls.path, error.strerror or error
            raise JournalError(f"cannot read {path} ({reason}); fix its permissions") from None
        return part.calls.read_calls(episode_id)

    def failed(self, episode_id: str) -> Failed | None:
        """One of the failed episodes, as the run was read last; None if it is gone."""
        part = self.part_of(episode_id)
        record = self._contents.failed.get(episode_id) if self._contents else None
        if record is None:
            return None
        if part is None:
            return Failed(record, self.folder / STEPS, ())
        return Failed(record, part.steps.path, tuple(part.steps.spans[episode_id]))

    def part_of(self, episode_id: str) -> RunPart | None:
        """The part that has the episode's steps, or most of them."""
        parts = [part for part in self._parts.values() if episode_id in part.steps.spans]
        return max(parts, key=lambda part: part.steps.size_of(episode_id), default=None)

    def _refresh(self) -> None:
        folders = part_folders(self.folder)
        self._parts = {folder: self._parts.get(folder) or RunPart(folder) for folder in folders}
        for part in self._parts.values():
            part.refresh()

    def _locate(self) -> bool:
        """Look for the steps that were added: at once if there are few; returns whether all were found."""
        if self._locator is not None and self._locator.is_alive():
            return False
        end = time.monotonic() + PATIENCE_S
        parts = tuple(self._parts.values())
        if all(part.locate(lambda: time.monotonic() > end) for part in parts):
            return True
        self._locator = threading.Thread(target=self._locate_rest, args=(parts,), daemon=True)
        self._locator.start()
        return False

    def _locate_rest(self, parts: tuple[RunPart, ...]) -> None:
        for part in parts:
            part.locate(self._closed.is_set)

    def _read(self, state: State, located: bool) -> Contents:
        parts = tuple(self._parts.values())
        manifests = tuple(part.manifest for part in parts if part.manifest is not None)
        if manifests != self._planned[0]:
            self._planned = manifests, tuple(dict.fromkeys(key for m in manifests for key in planned(m)))
        digests: dict[str, dict[str, str]] = {}
        for manifest in reversed(manifests):  # the run's own count, where it has some
            for variant, of_models in manifest.digests.items():
                digests.setdefault(variant, {}).update(of_models)
        every = [record for part in reversed(parts) for record in part.episodes.values()]
        records = {record.key: record for record in present(every, digests)}
        return Contents(
            name=self.name,
            folder=self.folder,
            version=hashlib.sha256(repr((state, located)).encode()).hexdigest()[:12],
            manifests=manifests,
            is_whole=not parts or parts[0].folder == self.folder,
            planned=self._planned[1],
            records=records,
            begun=self._unfinished(every, records, digests) if located else {},
            located=located,
            damage=tuple(line for part in parts for line in part.damage),
            written=last_written(state),
        )

    def _unfinished(
        self,
        every: list[EpisodeRecord],
        records: dict[EpisodeKey, EpisodeRecord],
        digests: dict[str, dict[str, str]],
    ) -> dict[EpisodeKey, Begun]:
        """By key, the latest attempt at each episode that has steps and no row."""
        finished = {record.episode_id for record in every}
        begun, cache = {}, {}
        for part in reversed(self._parts.values()):
            for episode_id in [*part.steps.spans]:
                if episode_id in finished:
                    continue
                place = (episode_id, part.steps.size_of(episode_id))
                try:
                    known = self._begun.get(place) or _begun(part, episode_id)
                except JournalError:
                    continue  # told when the episode is opened
                cache[place] = known
                key, digest = known[0].key, known[1]
                if key not in records and digests.get(key.variant, {}).get(key.model, digest) == digest:
                    begun[key] = known[0]
        self._begun = cache
        return begun


def planned(manifest: Manifest) -> list[EpisodeKey]:
    """The episodes that all commands of a run or shard asked for; a shard plans those of the whole run."""
    return [
        key
        for plan in manifest.plans
        for key in plan.keys(manifest.own_models, without_history=manifest.without_history)
    ]


def _begun(part: RunPart, episode_id: str) -> tuple[Begun, str]:
    first, last = part.steps.ends(episode_id)
    return Begun(episode_id, first.key, last.step + 1), first.variant_digest
