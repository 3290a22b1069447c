"""The runs of a folder of results, as the browser asks for them. All methods block: they are for threads."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.hostile_text import visible
from babyai_kit.replay.prompts import EpisodePrompts, PromptData
from babyai_kit.replay.view import View, episode_view
from babyai_kit.runs.journal import MANIFEST, STEPS, run_folder
from babyai_kit.runs.listing import run_names
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.run import no_run_error
from babyai_kit.viewer.agent_rows import AgentNames
from babyai_kit.viewer.comparison import Side, comparison
from babyai_kit.viewer.contents import RUNNING_S, Contents
from babyai_kit.viewer.drawing import Drawings, Figure
from babyai_kit.viewer.failure_queue import FailureQueue
from babyai_kit.viewer.run_index import RunIndex
from babyai_kit.viewer.run_parts import State, last_written, part_folders, state_of
from babyai_kit.viewer.run_table import summary, table
from babyai_kit.viewer.search import search

MAX_OPEN = 4
"""Runs whose episodes are held in memory."""
PROGRESS_STEPS = 20
"""How often the browser hears of the failure classes of a run until all are known."""


@dataclass(frozen=True)
class Body:
    """A RunTable as JSON."""

    version: str
    json: bytes
    seconds: float
    """That it took to make."""


class Library:
    """The runs under `results`."""

    def __init__(self, results: StrPath = PROJECT_RESULTS) -> None:
        self.results = results
        self._lock = threading.Lock()
        self._open: OrderedDict[str, RunIndex] = OrderedDict()
        self._summaries: dict[str, tuple[State, dict[str, Any]]] = {}
        self._tables: dict[str, tuple[Hashable, Body]] = {}
        self._prompts: dict[str, tuple[Manifest, EpisodePrompts]] = {}
        self._failures = FailureQueue()
        self._drawings = Drawings(results)

    def close(self) -> None:
        """Stop what still works."""
        self._failures.close()
        self._drawings.close()
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()

    def names(self) -> list[str]:
        """The runs, the latest first."""
        return run_names(self.results)

    def check(self, name: str) -> None:
        """Raises InputError if there is no run of that name."""
        if not part_folders(run_folder(self.results, name)):
            raise no_run_error(name, self.results)

    def index(self, name: str) -> RunIndex:
        """The run `name`, opened. Raises InputError if there is none."""
        self.check(name)
        with self._lock:
            index = self._open.pop(name, None) or RunIndex(self.results, name)
            self._open[name] = index
            while len(self._open) > MAX_OPEN:
                old, closed = self._open.popitem(last=False)
                closed.close()
                self._tables.pop(old, None)
        return index

    def summaries(self) -> list[dict[str, Any]]:
        """A RunSummary per run, the latest first."""
        return [self._summary(name) for name in self.names()]

    def table(self, name: str) -> Body:
        """A run's RunTable. Raises InputError."""
        index = self.index(name)
        contents = index.contents()
        classes = self._classes(index, contents)
        key = (contents.version, len(classes), contents.is_running())
        known = self._tables.get(name)
        if known is None or known[0] != key:
            begun = time.monotonic()
            content = table(contents, classes, self.results)
            body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
            known = key, Body(content["version"], body, time.monotonic() - begun)
            self._tables[name] = known
        return known[1]

    def episode(self, name: str, episode_id: str) -> View:
        """EpisodeView. Raises InputError for an unknown run or episode, JournalError for a damaged one."""
        index = self.index(name)
        trajectory = index.trajectory(episode_id)
        # As the run's table calls them, whatever its folder is called.
        names = AgentNames(index.contents().keys)
        called = {"run": name, "id": episode_id, "agent": visible(names.of(trajectory.key))}
        return episode_view(trajectory) | called

    def prompts(self, name: str, episode_id: str) -> PromptData:
        """Prompts. Raises InputError for an unknown run or episode, JournalError for a damaged one."""
        index = self.index(name)
        trajectory, manifest = index.trajectory(episode_id), index.contents().manifest
        if manifest is None:
            note = f"The prompts cannot be shown: {index.folder / MANIFEST} cannot be read."
            return {"note": note, "steps": [None] * len(trajectory.steps), "closing": []}
        known = self._prompts.get(name)
        if known is None or known[0] != manifest:
            known = self._prompts[name] = manifest, EpisodePrompts(manifest)
        return known[1].of(trajectory, index.calls(episode_id))

    def search(self, name: str, text: str, stop: threading.Event) -> dict[str, Any]:
        """The ids of the episodes that say `text`; not `whole` if `stop` was set before all were looked at.

        Raises InputError, JournalError.
        """
        self.check(name)
        files = [folder / STEPS for folder in part_folders(run_folder(self.results, name))]
        found, whole = search(files, text, stop)
        return {"ids": sorted(found), "whole": whole}

    def figures(self, name: str) -> list[Figure]:
        """The figures of a run. Raises InputError, JournalError."""
        index = self.index(name)
        contents = index.contents()
        classes = self._classes(index, contents)
        is_whole = len(classes) == len(contents.failed)
        version = f"{contents.written}-{len(contents.records)}-{is_whole}"
        return self._drawings.figures(name, version, classes if is_whole else None)

    def compare(self, a: Side, b: Side) -> dict[str, Any]:
        """Comparison. Raises InputError."""
        return comparison(self.index(a.run).contents(), a, self.index(b.run).contents(), b)

    def news(self) -> Mapping[str, Hashable]:
        """By run, a value that is another one as soon as the browser has something new to show."""
        with self._lock:
            opened = dict(self._open)
        return {name: self._news(name, opened.get(name)) for name in self.names()}

    def recent(self) -> list[str]:
        """The runs that somebody wrote within the last minute."""
        folders = {name: run_folder(self.results, name) for name in self.names()}
        return [name for name, folder in folders.items() if is_recent(state_of(folder))]

    def wait_for_failures(self, name: str) -> None:
        """Return when the failure classes of a run are known that are looked for."""
        self._failures.wait(name)

    def table_s(self, name: str) -> float:
        """Seconds that the run's table took to make; 0 if it was not asked for."""
        known = self._tables.get(name)
        return known[1].seconds if known else 0.0

    def _news(self, name: str, index: RunIndex | None) -> Hashable:
        state = state_of(run_folder(self.results, name))
        if index is None:
            return state, is_recent(state)
        contents = index.contents()
        known, failed = len(self._classes(index, contents, first=False)), len(contents.failed)
        return state, is_recent(state), contents.version, PROGRESS_STEPS * known // (failed or 1)

    def _classes(self, index: RunIndex, contents: Contents, *, first: bool = True) -> dict[str, str]:
        """The failure classes that are known; the others are looked for from now on, `first` or after other
        runs'."""
        classes = self._failures.classes(index.name)
        if contents.located and contents.failed.keys() - classes.keys():
            self._failures.want(index.name, contents.failed, index.failed, first=first)
        return {name: classes[name] for name in contents.failed if name in classes}

    def _summary(self, name: str) -> dict[str, Any]:
        state = state_of(run_folder(self.results, name))
        known = self._summaries.get(name)
        if known is None or known[0] != state or known[1]["running"]:
            opened = self._open.get(name)
            contents = opened.contents() if opened else RunIndex(self.results, name).contents(steps=False)
            known = state, summary(contents, self.results)
            self._summaries[name] = known
        return known[1]


def is_recent(state: State) -> bool:
    """Whether files in this state were written within the last minute."""
    return time.time() - last_written(state) < RUNNING_S
