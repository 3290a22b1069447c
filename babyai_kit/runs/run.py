"""`Run`: a run on disk, opened once and read through this one object.

It only reads; `runs.journal.Journal` writes. Nothing is cached, so a run that is being written shows its
latest state at every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError, what_there_is
from babyai_kit.runs.commands import command_line
from babyai_kit.runs.episode_table import CALL_COLUMNS, STEP_COLUMNS, to_frame
from babyai_kit.runs.journal import (
    STEPS,
    read_calls,
    read_episodes,
    read_manifest,
    read_reconciliation,
    read_registrations,
    read_steps,
    run_folder,
)
from babyai_kit.runs.listing import run_names
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import CallRecord, EpisodeKey, EpisodeRecord, StepRecord, present
from babyai_kit.runs.trajectories import Trajectory, assemble


@dataclass(frozen=True)
class Run:
    """A run that has begun. `Run.open("first").episodes()` is the table of `load_episodes("first")`.

    All methods raise JournalError for a file that cannot be read or is damaged.
    """

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.run

    @classmethod
    def open(cls, name: str, *, results: StrPath = PROJECT_RESULTS) -> Run:
        """The run `name` under `results`.

        Raises InputError if there is none, JournalError if it is damaged or of a later format.
        """
        folder = run_folder(results, name)
        run = cls.at(folder)
        if run:
            return run
        if (folder / "shards").is_dir():
            merge = command_line("merge", name, results=results)
            raise InputError(f"run {name!r} is in shards; join them first: {merge}")
        raise no_run_error(name, results)

    @classmethod
    def at(cls, folder: Path) -> Run | None:
        """The run in `folder`, which may be a shard; None if none has begun there."""
        manifest = read_manifest(folder)
        return cls(folder, manifest) if manifest else None

    def steps(self) -> pd.DataFrame:
        """A row per answered step, in order of episode and step; columns as in `steps.jsonl` (StepRecord)."""
        rows = [vars(step) for episode in self.step_records().values() for step in episode]
        return pd.DataFrame(rows, columns=STEP_COLUMNS)

    def episodes(self, *, all_versions: bool = False) -> pd.DataFrame:
        """The `episodes` table: a row per finished episode, sorted by key (see EpisodeRecord).

        Only rows made with the run's present prompts, unless `all_versions`.
        """
        records = self.episode_records().values()
        return to_frame(records if all_versions else present(records, self.manifest.digests))

    def trajectories(self) -> list[Trajectory]:
        """Every episode with a step or row under the present prompts, by variant, task, seed, repeat."""
        steps = self.folder / STEPS
        return assemble(self.manifest, self.episode_records(), self.step_records(), file=steps)

    def planned(self) -> list[EpisodeKey]:
        """The episodes that all commands of the run asked for together, each once."""
        own, without_history = self.manifest.own_models, self.manifest.without_history
        keys = (
            key for plan in self.manifest.plans for key in plan.keys(own, without_history=without_history)
        )
        return list(dict.fromkeys(keys))

    def step_records(self) -> dict[str, list[StepRecord]]:
        """Steps by episode_id, in order of `step`; unfinished episodes and earlier prompts included."""
        return read_steps(self.folder)

    def call_records(self) -> dict[str, list[CallRecord]]:
        """Calls by episode_id, of agents that may call several times a step."""
        return read_calls(self.folder)

    def calls(self) -> pd.DataFrame:
        """A row per answered call of such agents; columns as in `calls.jsonl` (CallRecord)."""
        rows = [vars(call) for episode in self.call_records().values() for call in episode]
        return pd.DataFrame(rows, columns=CALL_COLUMNS)

    def episode_records(self) -> dict[tuple[EpisodeKey, str], EpisodeRecord]:
        """Finished episodes by key and variant digest; earlier prompts included."""
        return read_episodes(self.folder)

    def registrations(self) -> dict[tuple[EpisodeKey, str], str]:
        """Ids that workflow evaluations gave, by key and variant digest."""
        return read_registrations(self.folder)

    def reconciliation(self) -> dict[str, Any]:
        """The latest comparison with ClickHouse (fields of Reconciliation), or an empty dict."""
        return read_reconciliation(self.folder)


def no_run_error(name: str, results: StrPath) -> InputError:
    """What to raise for a run that has not begun."""
    where = f"no run {name!r} under {results}"
    if not Path(results).is_dir():
        return InputError(
            f"{where}, since there is no such folder; name the folder of the runs with --results"
        )
    names = run_names(results)
    if not names:
        begin = command_line("run", name, results=results)
        return InputError(f"{where}, which holds no run yet; begin it: {begin}")
    return InputError(f"{where}; {what_there_is(name, names)}")
