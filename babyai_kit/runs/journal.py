"""The journal of a run: an append-only record of its steps and finished episodes, beside its manifest.

What it promises:
- a line is handed to the operating system before `append` returns, so a SIGKILL of the process loses
  none (a power cut may);
- a torn last line is ignored by readers and cut off before the next append;
- one process at a time writes a journal;
- `run.json` and `reconciliation.json` are replaced as a whole or not at all.

Writers use `Journal`; everybody else reads through `runs.run.Run`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from babyai_kit.atomic_files import write_json_atomically
from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import FileWriteError, InputError, JournalError
from babyai_kit.hostile_text import parse_json
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.record_check import wrong_field
from babyai_kit.runs.records import (
    CallRecord,
    EpisodeKey,
    EpisodeRecord,
    R,
    Registration,
    StepRecord,
    from_json,
)

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MANIFEST = "run.json"
RECONCILIATION = "reconciliation.json"
STEPS = "steps.jsonl"
CALLS = "calls.jsonl"
EPISODES = "episodes.jsonl"
_FILES = {
    StepRecord: STEPS,
    CallRecord: CALLS,
    EpisodeRecord: EPISODES,
    Registration: "registered.jsonl",
}


def run_folder(results: StrPath, run: str, shard: tuple[int, int] | None = None) -> Path:
    """`results/RUN`, or `results/RUN/shards/i-of-n`. Raises InputError for an invalid run name."""
    if not isinstance(run, str) or not RUN_NAME.fullmatch(run):
        raise InputError(
            f"run name {run!r} is not valid; use 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit"
        )
    folder = Path(results) / run
    return folder / "shards" / f"{shard[0]}-of-{shard[1]}" if shard else folder


def read_steps(folder: Path) -> dict[str, list[StepRecord]]:
    """Steps by episode_id, in order of `step`; empty if there is no file. All readers raise JournalError."""
    return ordered_steps(_records(folder, StepRecord))


def ordered_steps(records: Iterable[StepRecord]) -> dict[str, list[StepRecord]]:
    """Steps by episode_id, in order of `step`, of lines in the order in which they were written."""
    steps: dict[str, dict[int, StepRecord]] = {}
    for record in records:
        by_step = steps.setdefault(record.episode_id, {})
        if by_step.get(record.step) == record:
            continue
        if by_step and record.step <= next(reversed(by_step)):
            # It was played anew from here, after a line was lost: what followed then follows no more.
            for later in [number for number in by_step if number >= record.step]:
                del by_step[later]
        by_step[record.step] = record
    return {episode: [by_step[i] for i in sorted(by_step)] for episode, by_step in steps.items()}


def read_calls(folder: Path) -> dict[str, list[CallRecord]]:
    """Calls by episode_id, in order of step and call; the last line of a call wins. Those of agents that call
    once for every step are their steps."""
    calls: dict[str, dict[tuple[int, int], CallRecord]] = {}
    for record in _records(folder, CallRecord):
        calls.setdefault(record.episode_id, {})[record.step, record.call] = record
    return {episode: [by_place[place] for place in sorted(by_place)] for episode, by_place in calls.items()}


def read_episodes(folder: Path) -> dict[tuple[EpisodeKey, str], EpisodeRecord]:
    """Finished episodes by key and variant digest; the last line of a key wins."""
    return {(r.key, r.variant_digest): r for r in _records(folder, EpisodeRecord)}


def read_registrations(folder: Path) -> dict[tuple[EpisodeKey, str], str]:
    """Ids from workflow evaluations by key and variant digest; the last line of a key wins."""
    return {(r.key, r.variant_digest): r.episode_id for r in _records(folder, Registration)}


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of the run in `folder`, or None if it has not begun."""
    path = folder / MANIFEST
    content = _read_json(path)
    return None if content is None else Manifest.from_json(content, path)


def read_reconciliation(folder: Path) -> dict[str, Any]:
    """The latest comparison with ClickHouse (fields of Reconciliation); empty without a readable one."""
    with contextlib.suppress(JournalError, ValueError):
        content = _read_json(folder / RECONCILIATION)
        forms = {"compared": str, "text": str, "steps": int, "clean": bool}
        if isinstance(content, dict) and all(isinstance(content.get(n), form) for n, form in forms.items()):
            datetime.fromisoformat(content["compared"])
            return content
    return {}


def _read_json(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:
        raise JournalError(f"{path} is damaged; move its folder away and run again") from None


def _records(folder: Path, kind: type[R]) -> Iterator[R]:
    path = folder / _FILES[kind]
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from None
    with stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            yield parse_line(kind, line, f"line {number} of {path}")


def parse_line(kind: type[R], line: bytes, where: str) -> R:
    """The record in a line of a journal. Raises JournalError, which says `where` it is."""
    try:
        record = from_json(kind, parse_json(line))
        wrong = wrong_field(record)
    except KeyError as error:
        raise _invalid(where, kind, f"without {error}") from None
    except (ValueError, TypeError):
        raise _invalid(where, kind, "no JSON object of its form") from None
    if wrong:
        raise _invalid(where, kind, f"{wrong} has an impossible value")
    return record


def _invalid(where: str, kind: type, reason: str) -> JournalError:
    return JournalError(f"{where} is not a valid {kind.__name__} ({reason}); fix or delete that line")


def line_of(path: Path, step: StepRecord) -> int | None:
    """The number of the last line of the journal's file `path` that is this step; None if none is."""
    found = None
    with contextlib.suppress(OSError), path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if step.inference_id.encode() in line and step.episode_id.encode() in line:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    found = number if from_json(StepRecord, parse_json(line)) == step else found
    return found


class Journal:
    """The writer of one run folder; a context manager that holds the folder's lock.

    Raises JournalError on entering when another process holds it or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A viewer writes and leaves a journal from any of its threads.
        self._lock = FileLock(folder / ".lock", thread_local=False)
        self._streams: dict[type, BinaryIO] = {}

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
            for kind, name in _FILES.items():
                # Most runs have no file of calls.
                if kind is not CallRecord or (self.folder / name).exists():
                    self._streams[kind] = _open_for_append(self.folder / name)
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
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()
        self._lock.release()

    def append(self, record: StepRecord | CallRecord | EpisodeRecord | Registration) -> None:
        """Write one line. Raises JournalError if it cannot be written whole (disk full, read-only)."""
        stream, written = self._stream(type(record)), 0
        line = json.dumps(vars(record), ensure_ascii=False, allow_nan=False)
        try:
            # Surrogates can reach us in model text; they have no UTF-8 form.
            data = line.encode("utf-8", errors="backslashreplace") + b"\n"
            # A full disk accepts a part first and reports the error with the next write.
            while written < len(data):
                written += stream.write(data[written:]) or 0
        except OSError as error:
            with contextlib.suppress(OSError):
                stream.truncate(stream.tell() - written)
            raise _unwritable(self.folder, error) from None

    def _stream(self, kind: type) -> BinaryIO:
        if kind not in self._streams:
            try:
                self._streams[kind] = _open_for_append(self.folder / _FILES[kind])
            except OSError as error:
                raise _unwritable(self.folder, error) from None
        return self._streams[kind]

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace `run.json` atomically. Raises JournalError."""
        self._replace(MANIFEST, manifest.as_json())

    def write_reconciliation(self, content: Mapping[str, Any]) -> None:
        """Replace `reconciliation.json` atomically. Raises JournalError."""
        self._replace(RECONCILIATION, content)

    def _replace(self, name: str, content: Mapping[str, Any]) -> None:
        try:
            write_json_atomically(self.folder / name, content)
        except FileWriteError as error:
            raise JournalError(str(error)) from None


def _unwritable(folder: Path, error: OSError) -> JournalError:
    return JournalError(
        f"cannot write to {folder} ({error.strerror or error}); free some space or fix its permissions, then "
        "run again: the run continues where it stopped"
    )


def _unreadable(path: Path, error: OSError) -> JournalError:
    return JournalError(f"cannot read {path} ({error.strerror or error}); fix its permissions")


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
