"""The process that replays failed episodes: a line of JSON comes in for each, and one goes out.

It has the lowest priority, reads the run's files itself, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyai_kit.errors import KitError
from babyai_kit.failures import classify, observe
from babyai_kit.runs.provenance import Provenance
from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.runs.trajectories import trajectory_of
from babyai_kit.viewer import child_process
from babyai_kit.viewer.step_index import read_spans


def failure_class(request: Mapping[str, Any]) -> str:
    """The class of the episode in `request` (record, file and spans of its steps); empty if it does not
    replay."""
    record, file = EpisodeRecord(**request["record"]), Path(request["file"])
    try:
        steps = read_spans(file, request["spans"]).get(record.episode_id, [])
        return classify(observe(trajectory_of(record, steps, Provenance(file))))
    except KitError:
        return ""


def main() -> None:
    """Answer until the end of the input."""
    child_process.leave_interrupts_to_the_viewer()
    with contextlib.suppress(OSError):
        os.nice(19)
    for line in sys.stdin.buffer:
        print(json.dumps(failure_class(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
