"""Failure classes, found in the background: one episode after the other, in a process of the lowest priority.

The run that was looked at last comes first.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.viewer import child_process

IDLE_S = 20.0
"""After which the process, which holds the environment in memory, is ended until it is needed again."""


@dataclass(frozen=True)
class Failed:
    """A failed episode, and where its steps lie."""

    record: EpisodeRecord
    file: Path
    spans: tuple[int, ...]


Find = Callable[[str], Failed | None]
"""The failed episode with an id; None if it is gone."""


class FailureQueue:
    """Classes of failed episodes by run and episode_id; empty where one does not replay."""

    def __init__(self) -> None:
        self._classes: dict[str, dict[str, str]] = {}
        self._waiting: OrderedDict[str, deque[str]] = OrderedDict()
        self._find: dict[str, Find] = {}
        self._change = threading.Condition()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def classes(self, run: str) -> dict[str, str]:
        """What is known of a run."""
        with self._change:
            return dict(self._classes.get(run, {}))

    def want(self, run: str, failed: Iterable[str], find: Find, *, first: bool) -> None:
        """Find the classes of these episodes, in this order. `find`: what `failed` has by its id. `first`:
        before those of other runs."""
        with self._change:
            known = self._classes.setdefault(run, {})
            waiting = deque(episode_id for episode_id in failed if episode_id not in known)
            if waiting and not self._closed:
                self._waiting[run] = waiting
                self._find[run] = find
                self._waiting.move_to_end(run, last=first or len(self._waiting) == 1)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, daemon=True)
                    self._thread.start()
                self._change.notify_all()

    def wait(self, run: str) -> None:
        """Return when no more classes of the run are looked for."""
        with self._change:
            self._change.wait_for(lambda: run not in self._waiting)

    def close(self) -> None:
        """End the process."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
            if self._process is not None:
                self._process.kill()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (one := self._next()) is not None:
            run, episode_id = one
            failed = self._find[run](episode_id)
            answer = self._ask(failed) if failed else ""
            with self._change:
                self._classes[run][episode_id] = answer
                if not self._waiting.get(run):
                    self._waiting.pop(run, None)
                self._change.notify_all()
        self._end()

    def _next(self) -> tuple[str, str] | None:
        """The next episode; waits for one, and returns None at the end."""
        with self._change:
            while not self._closed:
                for run in reversed(self._waiting):
                    if waiting := self._waiting[run]:
                        return run, waiting.popleft()
                if not self._change.wait_for(lambda: self._closed or any(self._waiting.values()), IDLE_S):
                    self._end()
                    self._change.wait_for(lambda: self._closed or any(self._waiting.values()))
        return None

    def _ask(self, failed: Failed) -> str:
        request = {"record": vars(failed.record), "file": str(failed.file), "spans": failed.spans}
        try:
            process = self._process or child_process.start("babyai_kit.viewer.failure_worker")
            self._process = process
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            return str(json.loads(process.stdout.readline()))
        except (OSError, ValueError):  # it died, of what this episode made it do or by a stranger's hand
            self._end()
            return ""

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
