"""The run on disk: an append-only record of steps and finished episodes, and the run's `run.json`.

Knows files and records; no gateway, no environment. What it promises:
- a line is handed to the operating system before `append` returns, so a SIGKILL of the process loses
  none (a power cut may);
- a torn last line is ignored by readers and cut off before the next append;
- one process at a time holds a journal;
- `run.json` is replaced as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from babyai_kit.errors import InputError, JournalError
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, R, Registration, StepRecord, from_json

FILES = {StepRecord: "steps.jsonl", EpisodeRecord: "episodes.jsonl", Registration: "registered.jsonl"}
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def run_folder(results: str | Path, run: str, shard: tuple[int, int] | None = None) -> Path:
    """`results/RUN`, or `results/RUN/shards/i-of-n`. Raises InputError for a name that is no run name."""
    if not isinstance(run, str) or not RUN_NAME.fullmatch(run):
        raise InputError(
            f"run name {run!r} is not valid; use 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit"
        )
    folder = Path(results) / run
    return folder / "shards" / f"{shard[0]}-of-{shard[1]}" if shard else folder


def read_steps(folder: Path) -> dict[str, list[StepRecord]]:
    """Steps by episode_id, in order of `step`; empty if there is no file."""
    steps: dict[str, dict[int, StepRecord]] = {}
    for record in _read(folder / "steps.jsonl", StepRecord):
        steps.setdefault(record.episode_id, {})[record.step] = record
    return {episode: [by_step[i] for i in sorted(by_step)] for episode, by_step in steps.items()}


def read_episodes(folder: Path) -> dict[tuple[EpisodeKey, str], EpisodeRecord]:
    """Finished episodes by key and variant digest; the last line of a key wins."""
    return {(r.key, r.variant_digest): r for r in _read(folder / "episodes.jsonl", EpisodeRecord)}


def read_registrations(folder: Path) -> dict[tuple[EpisodeKey, str], str]:
    """Ids from workflow evaluations by key and variant digest; the last line of a key wins."""
    return {(r.key, r.variant_digest): r.episode_id for r in _read(folder / "registered.jsonl", Registration)}


def read_run(folder: Path) -> dict[str, Any]:
    """`run.json`, or an empty dict if the run was never started.

    Raises JournalError if it is damaged or out of reach; all readers here do.
    """
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unwritable(folder, error) from None
    except ValueError:
        raise JournalError(f"{folder / 'run.json'} is damaged; move {folder} away and run again") from None


def existing_run(results: str | Path, run: str) -> tuple[Path, dict[str, Any]]:
    """The folder and `run.json` of a run that was begun. Raises InputError if there is none."""
    folder = run_folder(results, run)
    manifest = read_run(folder)
    if not manifest and (folder / "shards").is_dir():
        raise InputError(f"run {run!r} lies in shards; join them first: python -m babyai_kit merge {run}")
    if not manifest:
        raise InputError(f"no run {run!r} under {results}; run it first or name its folder with results=")
    return folder, manifest


def read_reconciliation(folder: Path) -> dict[str, Any]:
    """What the latest comparison with ClickHouse found (fields of Reconciliation), or an empty dict."""
    try:
        return json.loads((folder / "reconciliation.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _read(file: Path, kind: type[R]) -> Iterator[R]:
    try:
        stream = file.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(file.parent, error) from None
    with stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield from_json(kind, json.loads(line))
            except (ValueError, KeyError, TypeError):
                raise JournalError(
                    f"line {number} of {file} is not a {kind.__name__}; mend or delete that line"
                ) from None


class Journal:
    """The writer of one run folder; a context manager that holds the folder's lock.

    Raises JournalError on entering when another process holds it or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / ".lock")
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> Journal:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise JournalError(
                f"{self.folder} is in use by another process; wait for it or choose another run name"
            ) from None
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        try:
            for name in FILES.values():
                self._files[name] = _open_for_append(self.folder / name)
        except OSError as error:
            self.__exit__(None, None, None)
            raise _unwritable(self.folder, error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._lock.release()

    def append(self, record: StepRecord | EpisodeRecord | Registration) -> None:
        """Write one line. Raises JournalError if it cannot be written whole (disk full, read-only)."""
        file, written = self._files[FILES[type(record)]], 0
        line = json.dumps(vars(record), ensure_ascii=False, allow_nan=False)
        try:
            # Surrogates can reach us in model text; they have no UTF-8 form.
            data = line.encode("utf-8", errors="backslashreplace") + b"\n"
            # A full disk takes a part first and says why with the next.
            while written < len(data):
                written += file.write(data[written:]) or 0
        except OSError as error:
            with contextlib.suppress(OSError):
                file.truncate(file.tell() - written)
            raise _unwritable(self.folder, error) from None

    def write_run(self, content: Mapping[str, Any]) -> None:
        """Replace `run.json` atomically."""
        self._replace("run.json", content)

    def write_reconciliation(self, content: Mapping[str, Any]) -> None:
        """Replace `reconciliation.json` atomically."""
        self._replace("reconciliation.json", content)

    def _replace(self, name: str, content: Mapping[str, Any]) -> None:
        target = self.folder / name
        part = target.with_suffix(".json.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump(content, file, indent=2, ensure_ascii=False)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as error:
            raise _unwritable(self.folder, error) from None


def _unwritable(folder: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{folder} cannot be written ({error.strerror or error}); give it space and rights, then run "
        "again: it goes on where it stopped"
    )


def _open_for_append(path: Path) -> BinaryIO:
    """An unbuffered file at its end, cut back to its last complete line."""
    file = open(path, "ab+", buffering=0)  # noqa: SIM115 (closed by Journal)
    position = end = file.seek(0, os.SEEK_END)
    keep = 0
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            keep = start + newline + 1
            break
        position = start
    if keep < end:
        file.truncate(keep)
    return file
