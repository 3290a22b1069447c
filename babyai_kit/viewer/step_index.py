"""Where each episode's lines lie in a steps.jsonl or calls.jsonl, so that it is read without the others.

A run has a million lines, so none is parsed: the kit's writer puts the episode's id in front, and only lines
in another form are read as JSON.
"""

from __future__ import annotations

import io
import re
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from babyai_kit.errors import JournalError
from babyai_kit.hostile_text import parse_json
from babyai_kit.runs.journal import ordered_steps, parse_line
from babyai_kit.runs.records import CallRecord, StepRecord
from babyai_kit.viewer.growing_file import GrowingFile

_HEAD = re.compile(rb'\{"run": "[^"\\]*", "episode_id": "([^"\\]*)"')

Spans = Sequence[int]
"""Begin and end of one piece of a file after the other, in bytes."""


class StepIndex:
    """The places of the steps in one file; threads may ask while one scans."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spans: dict[str, array[int]] = {}
        """By episode_id."""
        self.damage: dict[int, str] = {}
        """What is wrong with which line, counted from 1."""
        self._file = GrowingFile(path)
        self._lines = 0
        self._scanning = threading.Lock()

    @property
    def located(self) -> float:
        """The share of the file that was scanned, 0 to 1."""
        try:
            size = self._file.size()
        except OSError:
            return 1.0
        return min(1.0, self._file.offset / size) if size else 1.0

    def scan(self, stop: Callable[[], bool]) -> bool:
        """Find the steps that were added, to the end or until `stop`; returns whether all were found.

        Raises OSError.
        """
        with self._scanning:
            if self._file.begins_anew():
                self.spans, self.damage, self._lines = {}, {}, 0
            for begin, data in self._file.chunks():
                self._add(begin, data)
                if stop():
                    return False
        return True

    def _add(self, begin: int, data: bytes) -> None:
        spans, match, find = self.spans, _HEAD.match, data.find
        at = 0
        while (end := find(b"\n", at) + 1) > 0:
            self._lines += 1
            head = match(data, at)
            if head is not None and data[end - 2] == 0x7D:  # a closing brace
                name = head[1].decode(errors="replace")
            else:
                name = id_in(data[at:end])
            if name is None:
                self.damage[self._lines] = (
                    f"line {self._lines} of {self.path} is not a valid StepRecord; fix or delete that line"
                )
            else:
                of_episode = spans.get(name)
                if of_episode is None:
                    spans[name] = array("q", (begin + at, begin + end))
                elif of_episode[-1] == begin + at:
                    of_episode[-1] = begin + end
                else:
                    of_episode.extend((begin + at, begin + end))
            at = end

    def read(self, episode_id: str) -> list[StepRecord]:
        """The steps of an episode, in their order; empty if it has none. Raises JournalError."""
        return read_spans(self.path, self.spans.get(episode_id, ())).get(episode_id, [])

    def read_calls(self, episode_id: str) -> list[CallRecord]:
        """The same of a file of calls."""
        lines = _lines(self.path, self.spans.get(episode_id, ()))
        calls = (parse_line(CallRecord, line, where) for where, line in lines)
        by_place = {(call.step, call.call): call for call in calls}
        return [by_place[place] for place in sorted(by_place)]

    def size_of(self, episode_id: str) -> int:
        """Bytes of the episode's lines."""
        spans = self.spans.get(episode_id, ())
        return sum(spans[1::2]) - sum(spans[::2])

    def ends(self, episode_id: str) -> tuple[StepRecord, StepRecord]:
        """The first and the latest line of an episode that has some. Raises JournalError."""
        spans = self.spans[episode_id]
        first, *_ = _records(self.path, spans[:2])
        *_, last = _records(self.path, spans[-2:])
        return first, last


def id_in(line: bytes) -> str | None:
    """The episode_id of a line of steps, which others may have written; None without one."""
    head = _HEAD.match(line)
    if head is not None and line.rstrip().endswith(b"}"):
        return head[1].decode(errors="replace")
    try:
        return str(parse_json(line)["episode_id"])
    except (ValueError, KeyError, TypeError):
        return None


def read_spans(path: Path, spans: Spans) -> dict[str, list[StepRecord]]:
    """The steps in these pieces of a steps.jsonl, by episode. Raises JournalError."""
    return ordered_steps(_records(path, spans))


def _records(path: Path, spans: Spans) -> Iterator[StepRecord]:
    for where, line in _lines(path, spans):
        yield parse_line(StepRecord, line, where)


def _lines(path: Path, spans: Spans) -> Iterator[tuple[str, bytes]]:
    """(where it is, line)."""
    try:
        with path.open("rb") as stream:
            for begin, end in zip(spans[::2], spans[1::2], strict=True):
                stream.seek(begin)
                at = begin
                for line in io.BytesIO(stream.read(end - begin)):
                    yield f"the line at byte {at} of {path}", line
                    at += len(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"cannot read {path} ({error.strerror or error}); fix its permissions") from None
