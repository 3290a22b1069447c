"""The progress of a run: episodes done, failed and ended by an error, steps per second, time left.

A success rate is not shown: quick successes finish first, so it would flatter until the last episode is done.
Tokens, cost and time include what earlier commands took, and stand beside what they are expected to come to,
once enough answers tell.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from types import TracebackType

from babyai_kit.experiment.forecast import Estimate, Forecast
from babyai_kit.experiment.lane import Lane
from babyai_kit.experiment.screens import HiddenScreen, Screen, screen_for_output
from babyai_kit.experiment.spent import Spent
from babyai_kit.runs.records import EpisodeRecord, StepRecord
from babyai_kit.terminal_text import shortened

MIN_ANSWERS = 50
"""Answers from which on the totals are shown as they are expected now."""
SURPRISE = 2.0
"""By so much longer than announced, and the user is told in a line of its own."""
MAX_NAME = 24
"""Columns of a model's name; that of a fine-tuned one would fill a line."""
RATE_OVER_S = 30.0
"""The steps per second are those of the latest so many seconds."""


class Progress:
    """The progress over `total` episodes, of which `done` are finished; a context manager in an event loop.

    `forecast`: of the rest, kept up to date here. `before`: what earlier commands took for these episodes.
    `screen`: where it is shown; None: where this process's output goes. Without `show` only the lines of
    `say` appear.
    """

    def __init__(
        self,
        total: int,
        done: list[EpisodeRecord],
        forecast: Forecast,
        *,
        show: bool,
        before: Spent | None = None,
        screen: Screen | None = None,
    ) -> None:
        self._forecast = forecast
        self._announced = forecast.rest().expected
        self._before = before or Spent()
        self._total = total
        self._shown = show
        self._screen = (screen or screen_for_output()) if show else HiddenScreen()
        self._done = self._failed = self._errors = 0
        self._answers = self._invalid = self._tokens = 0
        self._cost_usd = 0.0
        self._surprised = False
        self._lanes: Mapping[str, Lane] = {}
        self._names: Mapping[str, str] = {}
        self._ended: Counter[str] = Counter()
        self._planned = Counter(key.model for key in forecast.keys) + Counter(e.model for e in done)
        self._begin()
        self._timer: asyncio.TimerHandle | None = None
        for episode in done:
            self._count(episode)

    def _begin(self) -> None:
        self._began = time.monotonic()
        self._marks = deque([(self._began, 0)])

    def _count(self, episode: EpisodeRecord) -> None:
        if episode.status == "ok":
            self._done += 1
            self._failed += not episode.success
        else:
            self._errors += 1
        self._ended[episode.model] += 1

    def episode(self, episode: EpisodeRecord) -> None:
        """An episode ended now."""
        self._count(episode)
        self._forecast.episode(episode)

    def watch(self, lanes: Mapping[str, Lane]) -> None:
        """Show the state of each model's calls from now on."""
        self._lanes = lanes
        self._names = shortened(lanes, MAX_NAME)

    def step(self, step: StepRecord) -> None:
        """A call was answered now."""
        self._answers += 1
        self._invalid += not step.valid
        self._tokens += (step.input_tokens or 0) + (step.output_tokens or 0)
        self._cost_usd += step.cost_usd or 0.0
        self._forecast.step(step)

    def say(self, line: str) -> None:
        """Print a line without disturbing the progress."""
        self._screen.say(line)

    @property
    def steps_per_s(self) -> float:
        """Answers per second, lately."""
        (since, answers), now = self._marks[0], time.monotonic()
        return (self._answers - answers) / (now - since) if now > since else 0.0

    def _rest(self) -> Estimate:
        return self._forecast.rest(without=[name for name, lane in self._lanes.items() if lane.stopped])

    def parts(self) -> Iterator[str]:
        """The state in phrases, the most important first."""
        yield f"{self._done:,} of {self._total:,} done"
        yield f"{self._failed:,} failed"
        yield f"{self._errors:,} error{'s' * (self._errors != 1)}"
        rest, rate = self._rest().expected, self.steps_per_s
        if self._answers and self._done + self._errors == self._total:
            yield "storing the outcomes"
        elif self._answers:
            yield f"{rate:.1f} steps/s"
            if rest.calls and rate:
                yield f"{duration(rest.calls / rate)} left"
        elif rest.calls:
            yield "waiting for the first answer"
        if self._invalid:
            yield f"{self._invalid / self._answers:.0%} invalid"
        yield from self._totals()
        yield from self._models()
        yield f"{duration(self._before.seconds + time.monotonic() - self._began)} so far"

    def _models(self) -> Iterator[str]:
        """What holds calls back; of several models also how far each is."""
        for model, lane in self._lanes.items():
            if len(self._lanes) == 1:
                yield from filter(None, [lane.state])
            else:
                ended, planned = self._ended[model], self._planned[model]
                state = f" ({lane.state})" if lane.state else ""
                yield f"{self._names[model]} {ended:,}/{planned:,}{state}"

    def _totals(self) -> Iterator[str]:
        """Tokens and cost, of earlier commands too."""
        rest = self._rest().expected
        tokens, cost_usd = self._before.tokens + self._tokens, self._before.cost_usd + self._cost_usd
        is_expected = self._answers >= MIN_ANSWERS and rest.calls
        of = f" of about {tokens + rest.tokens:,.0f}" if is_expected else ""
        yield f"{tokens:,}{of} tokens"
        if cost_usd:
            is_expected = is_expected and rest.cost_usd is not None
            of = f" of about ${cost_usd + (rest.cost_usd or 0.0):,.3f}" if is_expected else ""
            yield f"${cost_usd:,.3f}{of}"

    def _tell_surprise(self) -> None:
        if self._surprised or self._answers < MIN_ANSWERS:
            return
        rest, announced = self._rest(), self._announced
        tokens, cost = self._tokens + rest.expected.tokens, self._cost_usd + (rest.expected.cost_usd or 0.0)
        if tokens > SURPRISE * announced.tokens or cost > SURPRISE * (announced.cost_usd or math.inf):
            self._surprised = True
            self.say(
                f"Prompts and answers are longer than expected: the rest is now expected to take "
                f"{rest.expected.in_tokens}, and takes at most {rest.at_most.in_tokens}."
            )

    def _draw(self) -> None:
        if self._shown:
            self._screen.draw(self._done + self._errors, self._total, list(self.parts()))

    def _tick(self) -> None:
        self._tell_surprise()
        self._draw()
        now = time.monotonic()
        self._marks.append((now, self._answers))
        while len(self._marks) > 1 and now - self._marks[1][0] >= RATE_OVER_S:
            self._marks.popleft()
        self._timer = asyncio.get_running_loop().call_later(self._screen.every_s, self._tick)

    def __enter__(self) -> Progress:
        self._begin()
        self._tick()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._tell_surprise()
        self._draw()
        self._screen.close()


def duration(seconds: float) -> str:
    """`45 s`, `1 min 20 s`, `2 h 5 min`: in two units at most."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 3600:
        return f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
