"""The runs of a folder of results, as the browser asks for them. All methods block: they are for threads."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import Any

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.runs.journal import run_folder
from babyai_kit.runs.listing import run_names
from babyai_kit.runs.run import no_run_error
from babyai_kit.viewer.episode_data import episode_data
from babyai_kit.viewer.run_index import RunIndex
from babyai_kit.viewer.run_parts import State, part_folders, state_of
from babyai_kit.viewer.run_table import summary, table

MAX_OPEN = 4
"""Runs whose episodes are held in memory."""


class Library:
    """The runs under `results`."""

    def __init__(self, results: StrPath = PROJECT_RESULTS) -> None:
        self.results = results
        self._lock = threading.Lock()
        self._open: OrderedDict[str, RunIndex] = OrderedDict()
        self._summaries: dict[str, tuple[State, dict[str, Any]]] = {}

    def close(self) -> None:
        """Stop what still reads."""
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
                self._open.popitem(last=False)[1].close()
        return index

    def summaries(self) -> list[dict[str, Any]]:
        """A RunSummary per run, the latest first."""
        return [self._summary(name) for name in self.names()]

    def table(self, name: str) -> tuple[str, bytes]:
        """The version of a run's RunTable, and the table as JSON. Raises InputError."""
        content = table(self.index(name).contents(), {}, self.results)
        return content["version"], json.dumps(content, separators=(",", ":"), allow_nan=False).encode()

    def episode(self, name: str, episode_id: str) -> dict[str, Any]:
        """EpisodeView. Raises InputError for an unknown run or episode, JournalError for a damaged one."""
        return episode_data(self.index(name).trajectory(episode_id))

    def _summary(self, name: str) -> dict[str, Any]:
        state = state_of(run_folder(self.results, name))
        known = self._summaries.get(name)
        if known is None or known[0] != state or known[1]["running"]:
            opened = self._open.get(name) or RunIndex(self.results, name)
            known = state, summary(opened.contents(steps=name in self._open), self.results)
            self._summaries[name] = known
        return known[1]
