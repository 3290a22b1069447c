"""The folders that make up a run: its own and, where it was spread over machines, its shards'.

Each part follows its files as they grow. What is damaged is named in `damage` and left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from babyai_kit.errors import JournalError
from babyai_kit.runs.journal import CALLS, EPISODES, MANIFEST, STEPS, parse_line, read_manifest
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord
from babyai_kit.viewer.growing_file import GrowingFile
from babyai_kit.viewer.step_index import StepIndex

State = tuple[tuple[str, int, int, int], ...]
"""Of files: name, inode, size and time of the last change; equal as long as nothing was written."""


def part_folders(folder: Path) -> list[Path]:
    """The run's own folder, if the run began there, and those of its shards."""
    try:
        shards = sorted(path for path in (folder / "shards").iterdir() if (path / MANIFEST).exists())
    except OSError:
        shards = []
    own = [folder] if (folder / MANIFEST).exists() else []
    return own + shards


def state_of(folder: Path) -> State:
    """The state of the files of a run, its shards' included."""
    return tuple(_states(part_folders(folder)))


def last_written(state: State) -> float:
    """When one of the files was last written, in seconds since 1970; 0 if there is none."""
    return max((changed for *_, changed in state), default=0) / 1e9


def _states(folders: list[Path]) -> Iterator[tuple[str, int, int, int]]:
    for folder in folders:
        for name in (MANIFEST, EPISODES, STEPS):
            path = os.path.join(folder, name)
            try:
                state = os.stat(path)
            except OSError:
                continue
            yield path, state.st_ino, state.st_size, state.st_mtime_ns


class RunPart:
    """One folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest | None = None
        """None while it cannot be read."""
        self.episodes: dict[tuple[EpisodeKey, str], EpisodeRecord] = {}
        """By key and digest; the last line of both wins."""
        self.steps = StepIndex(folder / STEPS)
        self.calls = StepIndex(folder / CALLS)
        """Located when somebody asks for prompts."""
        self._episode_file = GrowingFile(folder / EPISODES)
        self._line_damage: list[str] = []
        self._steps_damage: list[str] = []
        self._file_damage: list[str] = []
        self._lines = 0

    @property
    def damage(self) -> list[str]:
        """What cannot be read, a line each."""
        of_steps = self.steps.damage.values()
        return [*self._file_damage, *self._line_damage, *self._steps_damage, *of_steps]

    def refresh(self) -> None:
        """Read the manifest, and the episodes that were added."""
        self._file_damage = []
        try:
            self.manifest = read_manifest(self.folder)
        except JournalError as error:
            self.manifest = None
            self._file_damage.append(str(error))
        try:
            if self._episode_file.begins_anew():
                self.episodes, self._line_damage, self._lines = {}, [], 0
            for _, data in self._episode_file.chunks():
                self._add(data)
        except OSError as error:
            self._file_damage.append(_unreadable(self._episode_file.path, error))

    def locate(self, stop: Callable[[], bool]) -> bool:
        """Find the steps that were added, as `StepIndex.scan` does."""
        self._steps_damage = []
        try:
            return self.steps.scan(stop)
        except OSError as error:
            self._steps_damage = [_unreadable(self.steps.path, error)]
            return True

    def _add(self, lines: bytes) -> None:
        for line in lines.split(b"\n")[:-1]:
            self._lines += 1
            try:
                record = parse_line(EpisodeRecord, line, f"line {self._lines} of {self._episode_file.path}")
            except JournalError as error:
                self._line_damage.append(str(error))
            else:
                self.episodes[record.key, record.variant_digest] = record


def _unreadable(path: Path, error: OSError) -> str:
    return f"cannot read {path} ({error.strerror or error}); fix its permissions"
