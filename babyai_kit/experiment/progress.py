"""The live bar of a run: episodes done, success so far, invalid answers, errors, calls in flight, time left.

Tokens and cost stand beside what they are expected to come to, once enough answers tell.
"""

from __future__ import annotations

import math
from types import TracebackType

from tqdm.auto import tqdm

from babyai_kit.experiment.forecast import Forecast
from babyai_kit.runs.records import EpisodeRecord, StepRecord

MIN_ANSWERS = 50
"""Answers from which on the totals are shown as they are expected now."""
SURPRISE = 2.0
"""By so much longer than announced, and the user is told in a line of its own."""


class Progress:
    """A tqdm bar over episodes; a context manager. `forecast`: of the rest, kept up to date here."""

    def __init__(self, total: int, done: list[EpisodeRecord], forecast: Forecast, *, show: bool) -> None:
        self._forecast = forecast
        self._announced = forecast.rest().expected
        self._answers = 0
        self._surprised = False
        self._bar = tqdm(total=total, initial=len(done), unit="episode", disable=not show)
        self._finished = self._succeeded = self._errors = self._tokens = 0
        self._cost_usd = self._invalid_share = 0.0
        self._limit = ""
        for episode in done:
            self.count(episode)

    def count(self, episode: EpisodeRecord) -> None:
        """Count an episode without moving the bar."""
        if episode.status == "ok":
            self._finished += 1
            self._succeeded += bool(episode.success)
        else:
            self._errors += 1

    def episode(self, episode: EpisodeRecord) -> None:
        """An episode ended now."""
        self.count(episode)
        self._forecast.episode(episode)
        self._show()
        self._bar.update()

    def step(self, step: StepRecord, invalid_share: float) -> None:
        """A call was answered now; `invalid_share` of the answers so far were not valid, in [0, 1]."""
        self._invalid_share = invalid_share
        self._answers += 1
        self._tokens += (step.input_tokens or 0) + (step.output_tokens or 0)
        self._cost_usd += step.cost_usd or 0.0
        self._forecast.step(step)
        self._tell_surprise()
        self._show()

    def limit(self, limit: int, max_limit: int) -> None:
        """`limit` calls may be in flight now, of `max_limit` when the server does not limit the rate."""
        self._limit = str(limit) if limit == max_limit else f"{limit} of {max_limit}"

    def say(self, line: str) -> None:
        """Print a line without disturbing the bar."""
        self._bar.write(line)

    def _show(self) -> None:
        counts = {"success": f"{self._succeeded / self._finished:.0%}" if self._finished else "-"}
        if self._invalid_share:
            counts["invalid"] = f"{self._invalid_share:.0%}"
        counts |= {"errors": str(self._errors), "tokens": f"{self._tokens:,}"}
        if self._cost_usd:
            counts["cost"] = f"${self._cost_usd:.3f}"
        rest = self._forecast.rest().expected
        if self._answers >= MIN_ANSWERS and rest.calls:
            counts["tokens"] += f" of about {self._tokens + rest.tokens:,.0f}"
            if self._cost_usd and rest.cost_usd is not None:
                counts["cost"] += f" of about ${self._cost_usd + rest.cost_usd:.3f}"
        if self._limit:
            counts["calls"] = self._limit
        self._bar.set_postfix(counts, refresh=False)

    def _tell_surprise(self) -> None:
        if self._surprised or self._answers < MIN_ANSWERS:
            return
        rest, announced = self._forecast.rest(), self._announced
        tokens, cost = self._tokens + rest.expected.tokens, self._cost_usd + (rest.expected.cost_usd or 0.0)
        if tokens > SURPRISE * announced.tokens or cost > SURPRISE * (announced.cost_usd or math.inf):
            self._surprised = True
            self.say(
                f"Prompts and answers are longer than expected: the rest is now expected to take "
                f"{rest.expected.in_tokens}, and takes at most {rest.at_most.in_tokens}."
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
