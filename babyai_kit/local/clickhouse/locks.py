"""File locks that say who uses, starts, owns or migrates a data directory.

The kernel's flock is the only truth about who is alive: it is released however a process ends. (filelock's
locks are exclusive only, or leave flock for a database; here many users share one.)

Lock order, everywhere: users, then start, then owner.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path


class Lock:
    """An open lock file. Freed by `release()`, or by the kernel when the process ends.

    The descriptor is not inherited by spawned programs. A forked child would share the hold, so it
    lets go at once.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _open_locks.add(self)

    def try_shared(self) -> bool:
        """Take or downgrade to a shared hold, without waiting."""
        return self._flock(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take the only hold, without waiting."""
        return self._flock(fcntl.LOCK_EX)

    def wait_shared(self, timeout_s: float) -> bool:
        """Take a shared hold within `timeout_s` seconds."""
        return _wait(self.try_shared, timeout_s)

    def wait_exclusive(self, timeout_s: float) -> bool:
        """Take the only hold within `timeout_s` seconds."""
        return _wait(self.try_exclusive, timeout_s)

    def unlock(self) -> None:
        """Give up the hold and keep the file open."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def write(self, text: str) -> None:
        """Make `text` the file's content, for whoever is refused."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Free the lock. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        _open_locks.discard(self)
        if descriptor is not None:
            os.close(descriptor)

    def _flock(self, mode: int) -> bool:
        if self._descriptor is None:
            return False
        try:
            fcntl.flock(self._descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_open_locks: set[Lock] = set()


def _drop_inherited_locks() -> None:
    for lock in list(_open_locks):
        lock.release()


os.register_at_fork(after_in_child=_drop_inherited_locks)


def _wait(attempt: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not attempt():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
