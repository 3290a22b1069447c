"""How many files the process may have open, against what the calls in flight need.

A connection is an open file, and some systems (macOS) allow 256 to begin with.
"""

from __future__ import annotations

import contextlib
import os
import resource

from babyai_kit.errors import InputError

PER_CALL = 3
"""Open files of a call through the embedded gateway: from it to the adapter, both ends, and to the model."""

RESERVE = 64
"""For ClickHouse, the journal and whatever else is opened during a run."""

EASE = 256
"""More, where the system permits it: a busy machine closes connections late, and feedback opens some."""


def ensure_open_files(calls: int, *, embedded: bool) -> None:
    """Raise the process's limit of open files, if `calls` in flight may need more than it allows now.

    Raises InputError if the system does not permit it.
    """
    per_call = PER_CALL if embedded else 1
    spare = RESERVE + len(os.listdir("/dev/fd"))
    needed = spare + per_call * calls
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    eased = needed + EASE if unlimited else min(needed + EASE, hard)
    if soft == resource.RLIM_INFINITY or soft >= max(needed, eased):
        return
    if eased >= needed:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (eased, hard))
            return
        hard = soft  # the system names a limit and does not allow it
    if soft >= needed:
        return
    fitting = (hard - spare) // per_call
    remedy = f"lower the concurrency to {fitting}, or " if fitting > 0 else ""
    raise InputError(
        f"{calls} calls in flight need {needed} open files, and {hard} are allowed; {remedy}allow more: "
        f"ulimit -n {needed}"
    )
