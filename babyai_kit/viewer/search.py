"""Which episodes of a run say something: in what was seen, thought or answered.

A run has a gigabyte of steps, so the text is looked for among the bytes of the lines, and a line is parsed
only where it stands between its observation and its action.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

from babyai_kit.errors import InputError, JournalError
from babyai_kit.hostile_text import parse_json
from babyai_kit.viewer.growing_file import GrowingFile
from babyai_kit.viewer.step_index import id_in

MAX_TEXT = 500
"""Characters that may be looked for."""

FIELDS = ("observation", "thinking", "answer")
_BEGIN, _END = b'"observation": ', b', "action": '


def search(files: list[Path], text: str, stop: threading.Event) -> tuple[set[str], bool]:
    """(ids of the episodes that say `text`, in whichever case, whether all were looked at).

    `files`: the run's steps.jsonl. Raises InputError for no text or a very long one, JournalError for a file
    that cannot be read.
    """
    if not text.strip() or len(text) > MAX_TEXT:
        raise InputError(f"this cannot be looked for; use 1 to {MAX_TEXT} characters")
    found: set[str] = set()
    try:
        for file in files:
            for _, lines in GrowingFile(file).chunks():
                if stop.is_set():
                    return found, False
                found |= _matches(lines, text, found)
    except OSError as error:
        reason = error.strerror or error
        raise JournalError(f"cannot read {error.filename} ({reason}); fix its permissions") from None
    return found, True


def _matches(lines: bytes, text: str, found: set[str]) -> set[str]:
    """The episodes that say it in these lines, without those that were `found` before."""
    folded = text.lower()
    sought = json.dumps(folded, ensure_ascii=False)[1:-1].encode(errors="backslashreplace")
    matches: set[str] = set()
    for line in _candidates(lines, sought):
        episode_id = id_in(line)
        if episode_id is None or episode_id in found or episode_id in matches:
            continue
        try:
            step = parse_json(line)
            if any(folded in (step.get(field) or "").lower() for field in FIELDS):
                matches.add(episode_id)
        except (ValueError, TypeError, AttributeError):
            continue  # a damaged line, of which the run's page tells
    return matches


def _candidates(lines: bytes, sought: bytes) -> Iterator[bytes]:
    """The lines with the bytes `sought`, in lower case, between observation and action."""
    if not sought.isascii():
        for line in lines.split(b"\n"):
            if sought in line.decode(errors="replace").lower().encode():
                yield line
        return
    low = lines.lower()
    at = 0
    while (at := low.find(sought, at)) >= 0:
        begin, end = low.rfind(b"\n", 0, at) + 1, low.find(b"\n", at)
        texts = low.find(_BEGIN, begin, end), low.rfind(_END, begin, end)
        place = low.find(sought, texts[0] + len(_BEGIN), texts[1])
        if place >= 0 or min(texts) < 0:
            yield lines[begin:end]
        at = end
