"""Processes of the viewer's own, which do what takes seconds of computing beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from subprocess import DEVNULL, PIPE


def start(module: str) -> subprocess.Popen[bytes]:
    """`python -m MODULE`, which speaks through its standard input and output."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        # A notebook may have found the package by a path of its own.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )


def leave_interrupts_to_the_viewer() -> None:
    """Ctrl-C reaches all processes of a terminal; the viewer ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
