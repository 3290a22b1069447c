"""How far the base model is while it is built, in lines of text: they read the same on a terminal, in a
notebook that is opened again, and in a log.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from babyai_kit.local.learner.training import Progress
from babyai_kit.waiting_times import in_words

LINE_EVERY_S = 5.0


class BuildReport:
    """To be called after every step. Says a line at the first step, every `every_s` seconds, and at the last.

    `say` gets the lines, in the thread that builds.
    """

    def __init__(self, say: Callable[[str], None], *, every_s: float = LINE_EVERY_S) -> None:
        self._say, self._every_s = say, every_s
        self._began = self._said = 0.0

    def __call__(self, progress: Progress) -> None:
        now, step = time.monotonic(), progress.step
        if step == 1:
            self._began = self._said = now
            self._say("The learner's base model is built now, and kept for later runs.")
        if step == progress.steps:
            self._say(f"Base model: built in {in_words(now - self._began)}.")
        elif step > 1 and now - self._said >= self._every_s:
            self._said = now
            left = (now - self._began) / (step - 1) * (progress.steps - step)
            self._say(f"Base model: {step:,} of {progress.steps:,} steps, {in_words(left)} left")
